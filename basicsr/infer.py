"""Restore photos, videos and folders of both: the same as ``sam-deblur restore``."""

from __future__ import annotations

import sys
from pathlib import Path

if (
    not __package__
):  # run as a file: Python put this folder first on the path, where the package's own folder belongs
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from basicsr.commands.restore import infer, main, parse

__all__ = ["infer", "main", "parse"]

if __name__ == "__main__":
    main(called="python basicsr/infer.py")
