"""The same as ``sam-deblur evaluate aligned``; see ``--help``."""

from basicsr.commands.evaluate.aligned import main

if __name__ == "__main__":
    main(called="python scripts/evaluate_aligned.py")
