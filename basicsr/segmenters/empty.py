"""No masks at all, for networks that require masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from basicsr.masks import LabelMap, Overlap
from basicsr.segmenters.base import Masks, Photo


class Empty:
    """A segmenter that finds nothing: every pixel is uncovered."""

    def masks(self, image: Photo) -> Masks:
        """bool (0, H, W)."""
        return np.zeros((0, *image.shape[:2]), np.bool_)

    def labels(self, image: Photo, overlap: Overlap = "exact") -> LabelMap:
        """Zeros (H, W), for every rule."""
        return np.zeros(image.shape[:2], np.int32)

    def facts(self) -> dict[str, Any]:
        """The method, which has no options."""
        return {"method": "no masks"}
