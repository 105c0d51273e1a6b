"""A mask is one integer label map (H, W): 0 is covered by no mask, 1..K are disjoint regions.

In memory it is int32, on disk and in LMDB a uint16 PNG. Overlaps are resolved once, when a stack becomes a
map.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.masks.legacy import (
    Masks,
    as_planes,
    gray_to_labels,
    published_gray,
    read_published_npz,
    require_stack_fits,
)
from basicsr.utils.decode import decode_indices, is_palette_png
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.image import decode_single, encode_png
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit
from basicsr.utils.reading import LARGEST_IMAGE, read_file

MAX_REGIONS = 65535
LabelMap = NDArray[np.int32]
Overlap = Literal["exact", "smallest_on_top", "published"]


def check_label_map(labels: NDArray[Any], name: str) -> LabelMap:
    """An integer array (H, W) with ids in 0..65535 as int32; ``labels`` itself if it already is one.

    Args:
        name: file, key or argument, for the error.

    Raises:
        UserError: if shape or type are wrong, an id is negative, or does not fit into uint16.
    """
    _check_ids(labels, name)
    if labels.max() > MAX_REGIONS:
        found = f"found {labels.max()} ({np.unique(labels).size} distinct ids)"
        raise UserError(f"{name}: region ids end at {MAX_REGIONS}, {found}; relabel or merge regions")
    return labels.astype(np.int32, copy=False)


def _check_ids(labels: NDArray[Any], name: str) -> None:
    if labels.ndim != 2 or labels.size == 0:
        raise UserError(f"{name}: a label map has the shape (H, W), found {labels.shape}; use one plane")
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{name}: a label map holds integers, found {labels.dtype}; convert it")
    if labels.min() < 0:
        raise UserError(f"{name}: region ids start at 0 (uncovered), found {labels.min()}; shift them")


def relabel(labels: NDArray[Any], name: str = "labels") -> LabelMap:
    """Renumber the regions of an integer array (H, W) as 1..K without gaps; 0 and the order of ids are kept.

    Raises:
        UserError: if shape or type are wrong, an id is negative, or there are more than 65535 regions.
    """
    return compact(labels, name).astype(np.int32, copy=False)


def compact(labels: NDArray[Any], name: str = "labels") -> NDArray[np.uint8] | LabelMap:
    """As `relabel`, but uint8 if no id is above 255."""
    _check_ids(labels, name)
    largest = int(labels.max())
    if largest <= 255:  # the usual case, and several times as fast as those below
        small = np.ascontiguousarray(labels, np.uint8)
        occurs = cv2.calcHist([small], [0], None, [256], [0, 256]).ravel() > 0
        numbers = occurs.cumsum(dtype=np.uint8) - np.uint8(occurs[0])
        return np.asarray(cv2.LUT(small, numbers), np.uint8)
    if largest > MAX_REGIONS:
        ids, places = np.unique(labels, return_inverse=True)
        lowest = 0 if ids[0] == 0 else 1
        return check_label_map(places.reshape(labels.shape) + lowest, name)
    # A table, as sorting all pixels takes many times as long.
    labels = labels.astype(np.int32, copy=False)
    present = np.bincount(labels.ravel()) > 0
    table = present.cumsum(dtype=np.int32) - present[0]
    numbered: LabelMap = table.take(labels, mode="clip")  # none is clipped, but none is checked either
    return numbered


def from_stack(masks: NDArray[Any], overlap: Overlap = "exact", name: str = "masks") -> LabelMap:
    """Boolean stack (M, H, W) or (M, 1, H, W) -> label map (H, W) with ids 1..K.

    Args:
        overlap: what a pixel under several masks belongs to.
            ``exact``: every combination of masks that occurs is a separate region.
            ``smallest_on_top``: the mask with the smallest area; of equal ones, the earlier.
            ``published``: the sum of the masks in SAM-Deblur's gray image; uncovered pixels are a region.
            For disjoint masks, the first two rules give the same map, numbered in their order.
        name: file, key or argument, for the error.

    Raises:
        UserError: if shape or type are wrong, the rule is unknown, or there are more than 65535 regions.
    """
    planes = as_planes(masks, name)
    if overlap == "exact":
        return _split_by_each(planes, name)
    if overlap == "smallest_on_top":
        return _paint_smallest_last(planes, name)
    if overlap == "published":
        return gray_to_labels(published_gray(planes))
    raise UserError(f"overlap: unknown rule {overlap!r}; known: exact, smallest_on_top, published")


def _split_by_each(planes: Masks, name: str) -> LabelMap:
    """Refine the map mask by mask: the part of a region inside the mask gets a new id.

    A region entirely inside keeps its id (unless it is 0), so there are never more ids than regions, and the
    work for a mask is proportional to its area.
    """
    shape = planes.shape[1:]
    labels = np.zeros(shape, np.int32).ravel()
    areas = np.array([labels.size])
    for plane in planes:
        inside = np.flatnonzero(plane)
        before = labels[inside]
        shared = np.bincount(before, minlength=areas.size)
        split = (shared > 0) & (shared < areas)
        split[0] = shared[0] > 0
        ids = np.arange(areas.size, dtype=np.int32)
        ids[split] = areas.size + np.arange(np.count_nonzero(split))
        labels[inside] = ids[before]
        areas = np.concatenate([np.where(split, areas - shared, areas), shared[split]])
        if areas.size - 1 > MAX_REGIONS:
            hint = "use the rule 'smallest_on_top' or fewer masks"
            raise UserError(f"{name}: more than {MAX_REGIONS} regions by the rule 'exact'; {hint}")
    return labels.reshape(shape)


def _paint_smallest_last(planes: Masks, name: str) -> LabelMap:
    areas = [np.count_nonzero(plane) for plane in planes]
    labels = np.zeros(planes.shape[1:], np.int32)
    for i in sorted(range(len(planes)), key=lambda i: (areas[i], i), reverse=True):
        labels[planes[i]] = i + 1
    return relabel(labels, name)


def to_stack(labels: NDArray[Any]) -> Masks:
    """Label map (H, W) -> bool (K, H, W): one plane for each id >= 1 that occurs, in ascending order.

    Raises:
        UserError: if it is not a label map, or has too many planes, see `require_stack_fits`.
    """
    ids = np.unique(check_label_map(labels, "labels"))
    height, width = labels.shape
    require_stack_fits(ids.size, height, width, "labels")
    stack: Masks = labels == ids[ids > 0, None, None]
    return stack


def encode_label_map(labels: NDArray[Any], name: str = "labels") -> bytes:
    """Label map (H, W) -> uint16 PNG."""
    return encode_png(check_label_map(labels, name).astype(np.uint16))


def decode_label_map(
    data: bytes, name: str, overlap: Overlap = "exact", limit: PixelLimit = OF_PHOTOS
) -> LabelMap:
    """Bytes of a mask file -> label map; the content determines which of four formats it is.

    A gray PNG of 16 bits is a label map. So are the indices of a PNG with a palette (PASCAL VOC, DAVIS),
    whose colors are only for display. A gray PNG of 8 bits is SAM-Deblur's gray image, in which every
    distinct value, 0 included, is a region. An ``.npz`` file is SAM-Deblur's stack of masks, joined by
    ``overlap`` (see `from_stack`).

    Args:
        name: file or key, for the error.
        limit: on the pixels of the map; for a stack, on those of one mask.

    Raises:
        UserError: if it is none of these, damaged, or larger than ``limit``.
    """
    if data.startswith(b"PK"):
        return from_stack(read_published_npz(data, name, limit), overlap, name)
    if not data.startswith(b"\x89PNG"):
        known = "a PNG (gray of 16 or 8 bits, or with a palette) or an .npz stack"
        raise UserError(f"{name}: not a mask file; expected {known}")
    ids = decode_ids(data, name, limit)
    is_published = ids.dtype == np.uint8 and not is_palette_png(data)
    return gray_to_labels(ids, name) if is_published else check_label_map(ids, name)


def decode_ids(data: bytes, name: str, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
    """Encoded image of ids -> (H, W), uint8 or uint16: the indices of a palette PNG, or the gray values.

    Raises:
        UserError: if it is not an image, damaged, larger than ``limit``, or has colors without a palette.
    """
    return (decode_indices if is_palette_png(data) else decode_single)(data, name, limit)


def read_label_map(path: Path, overlap: Overlap = "exact") -> LabelMap:
    """`decode_label_map` of a file."""
    try:
        data = read_file(path, LARGEST_IMAGE)
    except OSError as error:
        raise UserError(f"{path}: the mask file cannot be read ({error.strerror}); check the path") from error
    return decode_label_map(data, str(path), overlap)


def write_label_map(path: Path, labels: NDArray[Any]) -> None:
    """Write `encode_label_map` next to ``path`` and rename it; parent folders are created."""
    write_bytes(path, encode_label_map(labels, str(path)))
