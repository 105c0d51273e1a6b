"""Find and read the photos in a folder, in any format, and find their masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basicsr.data.pairing import require_same
from basicsr.storage import DiskStorage
from basicsr.utils.decode import decode
from basicsr.utils.errors import UserError
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


def find_masks(labels: Path, photos: DiskStorage, name: str) -> DiskStorage:
    """The mask files below ``labels`` by relative path without suffix, at least one for each photo.

    Args:
        name: of the folder of ``photos``, for the error.

    Raises:
        UserError: if there is no such folder, or photos have no masks.
    """
    masks, keys = DiskStorage(labels, (".png", ".npz")), photos.keys()
    require_same(keys, set(masks.keys()) & set(keys), name, str(labels))
    return masks


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


def require_size_of(photo: NDArray[np.uint8], name: str, labels: NDArray[Any], masks: str) -> None:
    """Raise a `UserError` unless ``labels`` (H, W) has the size of ``photo`` (H, W, 3).

    Args:
        name, masks: of the two files, for the error.
    """
    (height, width), (rows, columns) = photo.shape[:2], labels.shape
    if (rows, columns) != (height, width):
        found = f"has {columns}x{rows} pixels, {name} {width}x{height}"
        raise UserError(f"{masks}: {found}; use the masks of this photo")
