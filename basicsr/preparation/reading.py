"""Reading what the commands are given, with one line for each thing that can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basicsr.masks.label_map import decode_label_map
from basicsr.utils.errors import UserError
from basicsr.utils.image import decode_rgb, decode_single
from basicsr.utils.reading import LARGEST_IMAGE, read_file

Array = NDArray[Any]


def read_bytes(path: Path) -> bytes:
    """The file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return read_file(path, LARGEST_IMAGE)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check it") from error


def is_gray_png(data: bytes) -> bool:
    """Whether encoded bytes are a PNG with one channel: a label map, a grey mask or a grey photo."""
    return data.startswith(b"\x89PNG\r\n\x1a\n") and data[25:26] == b"\0"


def decode_as_it_is(data: bytes, name: str, is_label_map: bool = False) -> Array:
    """Encoded image -> (H, W) if it is a grey PNG, else RGB (H, W, 3); the depth of the file is kept.

    A published ``.npz`` stack becomes a label map, uint16 (H, W), and so does any file that
    ``is_label_map``.

    Raises:
        UserError: none of these, or damaged.
    """
    if is_label_map or data.startswith(b"PK"):
        return decode_label_map(data, name).astype(np.uint16)
    return decode_single(data, name) if is_gray_png(data) else decode_rgb(data, name)
