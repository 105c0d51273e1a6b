"""The same as ``sam-deblur study``; see ``--help``."""

from basicsr.commands.study import main

if __name__ == "__main__":
    main(called="python scripts/train_rows.py")
