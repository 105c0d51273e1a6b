"""The same as ``sam-deblur prepare average-frames``; see ``--help``."""

from basicsr.commands.prepare.average_frames import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/average_frames.py")
