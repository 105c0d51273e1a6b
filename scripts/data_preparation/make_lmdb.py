"""The same as ``sam-deblur prepare lmdb``; see ``--help``."""

from basicsr.commands.prepare.lmdb import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/make_lmdb.py")
