"""Pictures of a validation: what is restored, beside what it was made from and what is wanted."""

from __future__ import annotations

import cv2
import numpy as np

from basicsr.engine.evaluator import Image, Judged
from basicsr.masks.pictures import overlay

_SIDE = 480  # pixels of the longest side of each


def side_by_side(judged: Judged) -> Image:
    """``lq``, restored, ``gt`` and, where there is one, the label map over ``lq``: one picture in a row.

    Returns:
        uint8 (H, n W, 3); the longest side of each is at most 480 pixels. Of a clip it is the middle frame.
    """
    pictures = [judged.middle(picture) for picture in (judged.lq, judged.restored, judged.gt)]
    if judged.labels is not None:
        pictures.append(overlay(pictures[0], judged.labels))
    height, width = pictures[0].shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.hstack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])
