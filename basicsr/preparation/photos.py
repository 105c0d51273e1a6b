"""Find and read the photos in a folder, in any format."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basicsr.storage import DiskStorage
from basicsr.utils.decode import decode
from basicsr.utils.image import READABLE, as_rgb, to_8_bit


class NotedPhoto(NamedTuple):
    """``image`` is uint8 (H, W, 3) RGB, upright; ``notes`` name what had to be changed to get it."""

    image: NDArray[np.uint8]
    notes: list[str]


def find_photos(folder: Path) -> DiskStorage:
    """The photos below ``folder`` by relative path without suffix.

    Raises:
        UserError: if there is no such folder, no photo in it, or two photos have one stem in one folder.
    """
    return DiskStorage(folder, READABLE)


def read_photo(data: bytes, name: str) -> NotedPhoto:
    """Encoded photo -> 8-bit RGB as input for networks, turned upright by its EXIF orientation.

    Gray becomes three equal channels, alpha is dropped, 16 bits are rounded to 8.

    Args:
        name: file or key, for the error.

    Raises:
        UserError: as in `decode`.
    """
    stored = decode(data, name)
    image = as_rgb(stored)
    notes = []
    if stored.ndim == 2:
        notes.append("gray, taken as three equal channels")
    elif stored.shape[2] == 4:
        notes.append("alpha dropped")
    if image.dtype == np.uint16:
        notes.append("16 bits rounded to 8")
        image = to_8_bit(image)
    return NotedPhoto(image, notes)
