"""The same as ``sam-deblur prepare frames``; see ``--help``."""

from basicsr.commands.prepare.frames import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/frames.py")
