"""The same as ``sam-deblur fit-niqe``; see ``--help``."""

from basicsr.commands.fit_niqe import main

if __name__ == "__main__":
    main(called="python scripts/fit_niqe.py")
