"""Evaluate a network on every ``datasets.test*``: the same as ``sam-deblur test``."""

from __future__ import annotations

import sys
from pathlib import Path

if (
    not __package__
):  # run as a file: Python put this folder first on the path, where the package's own folder belongs
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from basicsr.commands.test import main, test

__all__ = ["main", "test"]

if __name__ == "__main__":
    main(called="python basicsr/test.py")
