"""The same as ``sam-deblur export``; see ``--help``."""

from basicsr.commands.export import main

if __name__ == "__main__":
    main(called="python scripts/export_onnx.py")
