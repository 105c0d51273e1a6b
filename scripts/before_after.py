"""The same as ``sam-deblur before-after``; see ``--help``."""

from basicsr.commands.before_after import main

if __name__ == "__main__":
    main(called="python scripts/before_after.py")
