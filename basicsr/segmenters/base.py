"""What a segmenter is: an RGB image in, masks or a label map out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap, Overlap

Photo = NDArray[np.uint8]
Masks = NDArray[np.bool_]


class Segmenter(Protocol):
    """Registered in `basicsr.utils.registry.SEGMENTERS`; constructor arguments are its options."""

    def masks(self, image: Photo) -> Masks:
        """uint8 (H, W, 3) RGB -> bool (M, H, W), in the order in which the method gives them."""
        ...

    def labels(self, image: Photo, overlap: Overlap) -> LabelMap:
        """uint8 (H, W, 3) RGB -> label map int32 (H, W); ``overlap`` decides overlapping masks."""
        ...

    def facts(self) -> dict[str, Any]:
        """What decides the result besides the image: ``method`` in words, options, versions, checksums."""
        ...
