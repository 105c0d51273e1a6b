"""Regions of a photo without a network: graph-based segmentation (Felzenszwalb, Huttenlocher, IJCV 2004)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap, Overlap, check_label_map, from_stack, to_stack
from basicsr.segmenters.base import Masks, Photo
from basicsr.utils.errors import UserError
from basicsr.utils.registry import SEGMENTERS

# Larger photos are segmented at this size: regions stay similar, and 1280x720 takes a fraction of a second.
MAX_PIXELS = 400_000


def graph_regions(
    image: NDArray[Any], scale: float = 400.0, sigma: float = 0.8, min_size: int | None = None
) -> LabelMap:
    """uint8 (H, W, 3) RGB -> label map (H, W) with ids 1..K, each a connected region; every pixel is covered.

    A photo of more than `MAX_PIXELS` pixels is reduced to that many by area averaging, segmented, and its
    label map enlarged by repeating pixels. The result depends on the arguments only.

    Args:
        scale: preference for large regions. The default gives photos about 20 to 150.
        sigma: standard deviation of the preceding Gaussian blur, in pixels of the segmented size.
        min_size: smaller regions are merged, in pixels of the segmented size; None is one in 1000 of them.

    Raises:
        UserError: if shape or type of the image are wrong.
    """
    from skimage.segmentation import felzenszwalb

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        found = f"{image.dtype} {image.shape}"
        raise UserError(f"graph_regions: expected an RGB image uint8 (H, W, 3), found {found}; convert it")
    height, width = image.shape[:2]
    reduction = min(1.0, (MAX_PIXELS / (height * width)) ** 0.5)
    size = max(1, round(width * reduction)), max(1, round(height * reduction))
    # OpenCV does not accept arrays with negative strides, such as flipped ones
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    smallest = size[0] * size[1] // 1000 if min_size is None else min_size
    regions = felzenszwalb(small, scale=scale, sigma=sigma, min_size=smallest).astype(np.int32) + 1
    labels = cv2.resize(regions, (width, height), interpolation=cv2.INTER_NEAREST)
    return check_label_map(labels, "graph_regions")


@SEGMENTERS.register
class Graph:
    """`graph_regions` as a segmenter. Classical segmentation: its regions follow color, not objects."""

    def __init__(
        self,
        scale: Annotated[float, msgspec.Meta(ge=0)] = 400.0,
        sigma: Annotated[float, msgspec.Meta(ge=0)] = 0.8,
        min_size: Annotated[int, msgspec.Meta(ge=0)] | None = None,
    ) -> None:
        self.scale = scale
        self.sigma = sigma
        self.min_size = min_size

    def masks(self, image: Photo) -> Masks:
        """The regions, which do not overlap."""
        return to_stack(self._regions(image))

    def labels(self, image: Photo, overlap: Overlap = "exact") -> LabelMap:
        """The regions; only the rule ``published`` gives a different map."""
        labels = self._regions(image)
        return from_stack(to_stack(labels), overlap) if overlap == "published" else labels

    def facts(self) -> dict[str, Any]:
        """Method, options, and the version of scikit-image, which computes the regions."""
        return {
            "method": "classical segmentation, not SAM",
            "scale": self.scale,
            "sigma": self.sigma,
            "min_size": self.min_size,
            "scikit-image": version("scikit-image"),
        }

    def _regions(self, image: Photo) -> LabelMap:
        return graph_regions(image, self.scale, self.sigma, self.min_size)
