"""The same as ``sam-deblur prepare realblur``; see ``--help``."""

from basicsr.commands.prepare.realblur import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/realblur.py")
