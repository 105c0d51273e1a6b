"""The same as ``sam-deblur prepare gopro``; see ``--help``."""

from basicsr.commands.prepare.gopro import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/gopro.py")
