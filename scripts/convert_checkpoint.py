"""The same as ``sam-deblur convert``; see ``--help``."""

from basicsr.commands.convert import main

if __name__ == "__main__":
    main(called="python scripts/convert_checkpoint.py")
