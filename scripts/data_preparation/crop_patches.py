"""The same as ``sam-deblur prepare crops``; see ``--help``."""

from basicsr.commands.prepare.crops import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/crop_patches.py")
