"""The same as ``sam-deblur prepare film``; see ``--help``."""

from basicsr.commands.prepare.film import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/film_photos.py")
