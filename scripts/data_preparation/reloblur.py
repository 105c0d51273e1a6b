"""The same as ``sam-deblur prepare reloblur``; see ``--help``."""

from basicsr.commands.prepare.reloblur import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/reloblur.py")
