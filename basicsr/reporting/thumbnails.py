"""Small pictures that a report carries inside."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

Image = NDArray[Any]

_BUDGET = 36_000  # bytes of an image's pictures together; 48 kB in the page, where they are base64
_BUDGET_OF_CLIP = 4 * _BUDGET
# Longest side in pixels and WebP quality, from what is wanted to what fits in any case.
_SIZES = ((480, 80), (480, 60), (480, 45), (420, 35), (360, 30), (300, 25), (240, 20), (160, 20))
_LABEL_SIDE = 320
_EFFORT = 2  # of 0 to 6; the default, 4, takes twice the time for 4 % fewer bytes
_IDS = 255


@dataclass(frozen=True)
class Thumbnails:
    """WebP pictures of one image.

    Args:
        size: (width, height) of the whole image in pixels.
        lq: the input.
        restored: the result.
        gt: ground truth, where there is one.
        labels: label map, lossless gray; 0 is uncovered, the regions that are left at this size are numbered
            from 1 and begin again after 255.
        frames: of a result that is a clip; ``restored`` is the one in the middle.
        gt_frames: of a ground truth that is a clip; ``gt`` is the one in the middle.
    """

    size: tuple[int, int]
    lq: bytes
    restored: bytes
    gt: bytes | None = None
    labels: bytes | None = None
    frames: tuple[bytes, ...] = ()
    gt_frames: tuple[bytes, ...] = ()


def make_thumbnails(
    lq: Image, restored: Image, gt: Image | None = None, labels: Image | None = None
) -> Thumbnails:
    """Small pictures of an image, all of one size and quality so that they can be compared.

    Their longest side is 480 pixels; quality and then size go down until they need 36 kB together, with
    clips 144 kB.

    Args:
        lq: (H, W, 3) uint8 RGB.
        restored, gt: the same, or clips (T, H, W, 3) of it.
        labels: (H, W) integer label map.

    Raises:
        ValueError: the pictures differ in size.
    """
    height, width = lq.shape[:2]
    clips = [_frames(picture) for picture in (restored, gt) if picture is not None]
    given = [lq, *(frame for clip in clips for frame in clip)]
    for picture in [*given, *([] if labels is None else [labels])]:
        if picture.shape[:2] != (height, width):
            raise ValueError(f"pictures of {lq.shape[:2]} and {picture.shape[:2]} pixels; they must be equal")
    budget = _BUDGET if restored.ndim == 3 else _BUDGET_OF_CLIP
    encoded_lq, *others = _encode_within(given, budget)
    shown = tuple(others[: len(clips[0])])
    truth = tuple(others[len(shown) :])
    return Thumbnails(
        (width, height),
        encoded_lq,
        shown[len(shown) // 2],
        truth[len(truth) // 2] if truth else None,
        _encode_labels(labels) if labels is not None else None,
        shown if restored.ndim == 4 else (),
        truth if len(truth) > 1 else (),
    )


def _frames(picture: Image) -> list[Image]:
    return list(picture) if picture.ndim == 4 else [picture]


def _encode_within(pictures: Sequence[Image], budget: int) -> list[bytes]:
    """Encoded by the first of `_SIZES` that fits, found by halving: each takes less than the one before."""
    fitting: dict[int, list[bytes]] = {}
    low, high = 0, len(_SIZES) - 1
    while low < high:
        middle = (low + high) // 2
        encoded = _encode(pictures, *_SIZES[middle], budget)
        if encoded is None:
            low = middle + 1
        else:
            high, fitting[middle] = middle, encoded
    return fitting.get(low) or _encode(pictures, *_SIZES[low]) or []


def _encode(
    pictures: Sequence[Image], side: int, quality: int, budget: float = math.inf
) -> list[bytes] | None:
    """WebP files; None as soon as they exceed ``budget``."""
    encoded: list[bytes] = []
    for picture in pictures:
        encoded.append(_webp(_shrink(picture, side, cv2.INTER_AREA), quality))
        if sum(map(len, encoded)) > budget:
            return None
    return encoded


def _encode_labels(labels: Image) -> bytes:
    small = _shrink(labels.astype(np.int32), _LABEL_SIDE, cv2.INTER_NEAREST)
    ids, places = np.unique(small, return_inverse=True)
    numbers = places.reshape(small.shape) + (0 if ids[0] == 0 else 1)
    gray = np.where(numbers > 0, (numbers - 1) % _IDS + 1, 0).astype(np.uint8)
    return _webp(np.repeat(gray[..., None], 3, axis=2), lossless=True)


def _shrink(picture: Image, side: int, interpolation: int) -> Image:
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = [max(1, round(length * scale)) for length in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=interpolation)


def _webp(picture: Image, quality: int = 80, lossless: bool = False) -> bytes:
    buffer = io.BytesIO()
    pixels = PIL.Image.fromarray(np.ascontiguousarray(picture))
    pixels.save(buffer, "WEBP", quality=quality, lossless=lossless, method=_EFFORT)
    return buffer.getvalue()
