"""Find and read the photos of a folder, whatever they were saved as."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.storage import DiskStorage
from basicsr.utils.image import READABLE, decode_rgb


class Photo(NamedTuple):
    """``image`` is uint8 (H, W, 3) RGB, upright; ``notes`` name what had to be changed to get it."""

    image: NDArray[np.uint8]
    notes: list[str]


def find_photos(folder: Path) -> DiskStorage:
    """The photos below ``folder`` by relative path without suffix.

    Raises:
        UserError: no such folder, no photo in it, or two photos with one stem in one folder.
    """
    return DiskStorage(folder, READABLE)


def read_photo(data: bytes, name: str) -> Photo:
    """Encoded photo -> 8-bit RGB as networks will see it, turned upright by its EXIF orientation.

    Grey becomes three equal channels, alpha is dropped, 16 bits are rounded to 8.

    Args:
        name: file or key, for the error.

    Raises:
        UserError: not an image, cut short, or neither 8 nor 16 bits a channel.
    """
    image = decode_rgb(data, name)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert stored is not None  # or there would be no image either
    notes = []
    if stored.ndim == 2:
        notes.append("grey, taken as three equal channels")
    elif stored.shape[2] == 4:
        notes.append("alpha dropped")
    if image.dtype == np.uint16:
        notes.append("16 bits rounded to 8")
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return Photo(image, notes)
