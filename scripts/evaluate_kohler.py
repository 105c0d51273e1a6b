"""The same as ``sam-deblur evaluate kohler``; see ``--help``."""

from basicsr.commands.evaluate.kohler import main

if __name__ == "__main__":
    main(called="python scripts/evaluate_kohler.py")
