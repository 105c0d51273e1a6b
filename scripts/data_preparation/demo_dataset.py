"""The same as ``sam-deblur prepare demo-set``; see ``--help``."""

from basicsr.commands.prepare.demo_set import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/demo_dataset.py")
