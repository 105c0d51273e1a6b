"""The same as ``sam-deblur order-frames``; see ``--help``."""

from basicsr.commands.order_frames import main

if __name__ == "__main__":
    main(called="python scripts/data_preparation/order_frames.py")
