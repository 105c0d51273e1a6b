"""Restore one photo with the network of an option file: the same as ``sam-deblur demo``."""

from __future__ import annotations

import sys
from pathlib import Path

if (
    not __package__
):  # run as a file: Python put this folder first on the path, where the package's own folder belongs
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from basicsr.commands.demo import demo, main

__all__ = ["demo", "main"]

if __name__ == "__main__":
    main(called="python basicsr/demo.py")
