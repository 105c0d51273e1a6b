"""The same as ``sam-deblur compare``; see ``--help``."""

from basicsr.commands.compare import main

if __name__ == "__main__":
    main(called="python scripts/compare.py")
