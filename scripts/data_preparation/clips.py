"""The same as ``sam-deblur prepare clips``; see ``--help``."""

from basicsr.commands.prepare.clips import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/clips.py")
