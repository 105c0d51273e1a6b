"""Images and label maps as arrays without compression: entries of a storage that need no decoding.

Such an entry is an ``.npy`` file: (H, W, 3) RGB, or (H, W) for a mask channel or a label map, of uint8 or
uint16, row by row.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basicsr.utils.errors import UserError
from basicsr.utils.npz import npy_header
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit

_MAGIC = b"\x93NUMPY"
_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


def is_array(data: bytes) -> bool:
    """Whether an entry is an array, by its content."""
    return data.startswith(_MAGIC)


def encode_array(pixels: NDArray[Any]) -> bytes:
    """(H, W, 3) or (H, W), uint8 or uint16 -> entry."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(pixels), allow_pickle=False)
    return buffer.getvalue()


def decode_array(data: bytes, name: str, channels: int | None, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
    """Entry -> its pixels, a view of ``data`` that cannot be written to.

    Args:
        name: file or key, for the error.
        channels: 3 for (H, W, 3); None for (H, W).
        limit: on the pixels.

    Raises:
        UserError: damaged, of another shape or type, or larger than ``limit``.
    """
    try:
        header = npy_header(data)
        if header.is_by_columns:
            raise ValueError("stored by columns")
        pixels = np.frombuffer(data, header.dtype, offset=header.start).reshape(header.shape)
    except Exception as error:  # NumPy parses the header as Python, which can raise any error
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: damaged array ({reason}); make it again") from error
    wanted = () if channels is None else (channels,)
    if pixels.dtype not in _DTYPES or pixels.ndim < 2 or pixels.shape[2:] != wanted or pixels.size == 0:
        shape = "(H, W)" if channels is None else f"(H, W, {channels})"
        what = f"expected uint8 or uint16 {shape}, found {pixels.dtype} {pixels.shape}"
        raise UserError(f"{name}: {what}; make it again")
    limit.check(pixels.shape[1], pixels.shape[0], name)
    return pixels
