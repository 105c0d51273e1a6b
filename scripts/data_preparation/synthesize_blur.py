"""The same as ``sam-deblur prepare synthesize``; see ``--help``."""

from basicsr.commands.prepare.synthesize import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/synthesize_blur.py")
