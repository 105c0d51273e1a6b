"""The same as ``sam-deblur masks``; see ``--help``."""

from basicsr.commands.masks import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/create_masks.py")
