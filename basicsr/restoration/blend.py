"""Restored regions in an otherwise unchanged photo."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap
from basicsr.utils.errors import UserError
from basicsr.utils.image import Array

Share = NDArray[np.float32]
Place = tuple[int, int]

SOFT_BORDER = 8
"""Pixels inside a region over which the restored photo fades in."""
_ROWS = 256  # at once: floats of a whole photo would take four times its memory


def blend(photo: Array, frames: Array, share: Share) -> Array:
    """Restored frames mixed with the photo: exactly the photo where ``share`` is 0, the frames where it is 1.

    Args:
        photo: (H, W, 3), uint8 or uint16.
        frames: (T, H, W, 3) in the type of ``photo``.
        share: (H, W), of the frames, in [0, 1].

    Returns:
        (T, H, W, 3) in the type of ``photo``.
    """
    mixed = np.empty_like(frames)
    for top in range(0, len(photo), _ROWS):
        rows = slice(top, top + _ROWS)
        before = photo[rows].astype(np.float32)
        for frame, result in zip(frames, mixed, strict=True):
            result[rows] = np.rint(before + share[rows, :, None] * (frame[rows] - before))
    return mixed


def share_of_regions(labels: LabelMap, places: Sequence[Place], border: int = SOFT_BORDER) -> Share:
    """For `blend`: float32 (H, W), 0 outside of the regions at ``places``, rising to 1 inside of them.

    Args:
        labels: label map (H, W).
        places: (x, y) in pixels from the upper left corner; each means the region that it lies in.
        border: pixels over which the share rises.

    Raises:
        UserError: a place outside of the photo.
    """
    height, width = labels.shape
    for x, y in places:
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(f"only: {x},{y} is outside of the photo of {width} x {height} pixels")
    chosen = np.isin(labels, [labels[y, x] for x, y in places])
    inside = cv2.distanceTransform(chosen.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    share: Share = np.minimum(inside / np.float32(border + 1), np.float32(1))
    return share
