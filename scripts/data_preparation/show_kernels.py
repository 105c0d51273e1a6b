"""The same as ``sam-deblur prepare show-kernels``; see ``--help``."""

from basicsr.commands.prepare.show_kernels import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/show_kernels.py")
