"""The same as ``sam-deblur prepare convert-masks``; see ``--help``."""

from basicsr.commands.prepare.convert_masks import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/convert_masks.py")
