"""Make a label map for each photo of a folder; see ``--help``."""

from basicsr.preparation.masks.command import main

if __name__ == "__main__":
    main()
