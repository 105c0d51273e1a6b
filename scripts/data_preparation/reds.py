"""The same as ``sam-deblur prepare reds``; see ``--help``."""

from basicsr.commands.prepare.reds import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/reds.py")
