"""The same as ``sam-deblur prepare show-masks``; see ``--help``."""

from basicsr.commands.prepare.show_masks import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/show_masks.py")
