"""The same as ``sam-deblur frame-table``; see ``--help``."""

from basicsr.commands.frame_table import main

if __name__ == "__main__":
    main(called="python scripts/frame_table.py")
