"""MATLAB's files, as `scipy.io` reads them, of a known size at most."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any, Literal

from basicsr.utils.extras import optional_import
from basicsr.utils.reading import read_file

_HEADER, _TAG = 128, 8
_COMPRESSED = 15


def read_mat(file: Path | bytes, name: str, most: int) -> dict[str, Any]:
    """Variables by name.

    Args:
        file: its path, or its bytes.
        name: of the file, for the error.
        most: bytes of all variables, unpacked.

    Raises:
        UserError: SciPy is missing.
        Exception: damaged or larger; SciPy lets any error of a damaged file through.
    """
    scipy_io = optional_import("scipy.io", f"reading {name}", "pip install scipy")
    data = file if isinstance(file, bytes) else read_file(file, most)
    _require_small(data, most)
    found = scipy_io.loadmat(io.BytesIO(data))
    return {key: value for key, value in found.items() if not key.startswith("__")}


def _require_small(data: bytes, most: int) -> None:
    """Unpack the variables of version 7 piece by piece, before SciPy does it at once."""
    left = most
    order: Literal["big", "little"] = "big" if data[126:128] == b"MI" else "little"
    position = _HEADER
    while position + _TAG <= len(data):
        kind, length = (int.from_bytes(data[at : at + 4], order) for at in (position, position + 4))
        position += _TAG + length
        if kind != _COMPRESSED:
            continue
        stream, packed = zlib.decompressobj(), data[position - length : position]
        while packed and not stream.eof:
            left -= len(stream.decompress(packed, 1 << 20))
            packed = stream.unconsumed_tail
            if left < 0:
                raise ValueError(f"unpacked more than {most:,} bytes")
