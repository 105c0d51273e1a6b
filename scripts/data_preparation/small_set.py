"""The same as ``sam-deblur prepare small-set``; see ``--help``."""

from basicsr.commands.prepare.small_set import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/small_set.py")
