"""The same as ``sam-deblur prepare check``; see ``--help``."""

from basicsr.commands.prepare.check import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/check_dataset.py")
