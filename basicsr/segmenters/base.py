"""The interface of segmenters: an image in, masks or a label map out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap, Overlap

Photo = NDArray[np.uint8]
Masks = NDArray[np.bool_]


class Segmenter(Protocol):
    """Registered in `basicsr.utils.registry.SEGMENTERS`; constructor arguments are its options.

    A segmenter takes the channels in the given order. The caller prepares the photo as SAM-Deblur's masks
    need it: ``for_photo(segmenter, key).labels(as_seen(photo, overlap), overlap)``.
    """

    def masks(self, image: Photo) -> Masks:
        """uint8 (H, W, 3) -> bool (M, H, W), in the order of the method."""
        ...

    def labels(self, image: Photo, overlap: Overlap) -> LabelMap:
        """uint8 (H, W, 3) -> label map int32 (H, W), equal to `basicsr.masks.from_stack` of `masks`."""
        ...

    def facts(self) -> dict[str, Any]:
        """What determines the result besides the image: ``method`` in words, options, versions, checksums."""
        ...


@runtime_checkable
class ByKey(Protocol):
    """A segmenter whose masks belong to a certain photo, such as masks made elsewhere."""

    def at(self, key: str) -> Segmenter:
        """The segmenter for one photo; ``key`` is its path below the folder of photos, without suffix."""
        ...


def for_photo(segmenter: Segmenter, key: str) -> Segmenter:
    """The segmenter for the photo ``key``: itself, unless it is `ByKey`."""
    return segmenter.at(key) if isinstance(segmenter, ByKey) else segmenter


def as_seen(photo: Photo, overlap: Overlap) -> Photo:
    """The RGB photo (H, W, 3) as input of a segmenter: for ``published`` as BGR, else unchanged.

    SAM-Deblur passed photos to SAM as OpenCV reads them, so the published masks were made with red and blue
    swapped.
    """
    return np.ascontiguousarray(photo[..., ::-1]) if overlap == "published" else photo
