"""Masks made elsewhere: SAM-Deblur's stacks, COCO run lengths and label maps, by file name."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from basicsr.masks import (
    LabelMap,
    Overlap,
    coco_rle_to_mask,
    decode_label_map,
    from_stack,
    read_published_npz,
    relabel,
    require_stack_fits,
    to_stack,
)
from basicsr.segmenters.base import Masks, Photo
from basicsr.storage import DiskStorage
from basicsr.utils.convert import ExistingFolder
from basicsr.utils.errors import UserError
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit
from basicsr.utils.reading import parse_json
from basicsr.utils.registry import SEGMENTERS


@SEGMENTERS.register
class Precomputed:
    """The masks in a folder. Masks belong to a photo, so choose it first: ``segmenter.at("clip/0001")``.

    Args:
        folder: files named like the photos: ``.npz`` (SAM-Deblur), ``.json`` (COCO run lengths) or ``.png``
            (label map, also with a palette, or SAM-Deblur's gray image).

    Raises:
        UserError: if the folder has no such file, or two of them for one photo.
    """

    def __init__(self, folder: ExistingFolder) -> None:
        self._storage = DiskStorage(folder, (".npz", ".json", ".png"))
        self._key: str | None = None

    def at(self, key: str) -> Precomputed:
        """The masks of one photo; ``key`` is its path below the folder of photos, without suffix."""
        chosen = copy.copy(self)
        chosen._key = key
        return chosen

    def masks(self, image: Photo) -> Masks:
        """The stored masks of the photo.

        Raises:
            UserError: if it has no file or a damaged one, or the masks differ in size from the photo.
        """
        data, name = self._read()
        limit = PixelLimit.of_partner(*image.shape[:2])
        if data.startswith(b"PK"):
            masks = read_published_npz(data, name, limit)
        elif data.startswith(b"\x89PNG"):
            masks = to_stack(decode_label_map(data, name, limit=limit))
        else:
            masks = read_coco(data, name, image.shape[:2], limit)
        _check_size(masks.shape[1:], image, name)
        return masks

    def labels(self, image: Photo, overlap: Overlap = "exact") -> LabelMap:
        """The label map of the photo, with ids 1..K. Raises the same errors as `masks`."""
        data, name = self._read()
        if data.startswith(b"\x89PNG") and overlap != "published":
            limit = PixelLimit.of_partner(*image.shape[:2])
            labels = relabel(decode_label_map(data, name, limit=limit), name)
            _check_size(labels.shape, image, name)
            return labels
        return from_stack(self.masks(image), overlap, name)

    def facts(self) -> dict[str, Any]:
        """Where the masks come from."""
        return {"method": "masks made elsewhere", "folder": str(self._storage.folder.resolve())}

    def _read(self) -> tuple[bytes, str]:
        if self._key is None:
            raise UserError(
                f"{self._storage.folder}: masks belong to a photo; choose it with Precomputed.at(key)"
            )
        return self._storage.read(self._key), self._storage.describe(self._key)


def read_coco(
    data: bytes, name: str, size: tuple[int, ...] | None = None, limit: PixelLimit = OF_PHOTOS
) -> Masks:
    """Bytes of a JSON file with the masks of one image as COCO run lengths -> bool (M, H, W), in its order.

    The file is a list, or holds one as ``annotations`` (SA-1B). An item is a run-length encoding, or holds
    one as ``segmentation`` (SamAutomaticMaskGenerator).

    Args:
        size: (height, width) of the image, for a file without masks.
        limit: on the pixels of a mask.

    Raises:
        UserError: if it is damaged, has an unexpected structure, polygons, or masks of different sizes, is
            larger than ``limit`` or, in total, than `require_stack_fits` allows, or has no masks while
            ``size`` is not given.
    """
    try:
        content = parse_json(data)
    except ValueError as error:
        raise UserError(f"{name}: not a JSON file ({error}); write it again") from error
    items = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise UserError(f"{name}: expected a list of masks, or one as 'annotations'; is it a COCO file?")
    if isinstance(content, dict) and isinstance(content.get("images"), list) and len(content["images"]) > 1:
        raise UserError(f"{name}: masks of {len(content['images'])} images; write a file for each image")
    masks: list[Masks] = []
    for item in items:
        masks.append(_coco_mask(item, f"{name}: mask {len(masks) + 1}", limit))
        height, width = masks[-1].shape
        require_stack_fits(len(items), height, width, name)
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        found = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise UserError(f"{name}: masks of different sizes ({found}); write a file for each image")
    if masks:
        return np.stack(masks)
    if size is None:
        raise UserError(f"{name}: has no masks, so the size of the image is unknown; leave it out")
    return np.zeros((0, *size), np.bool_)


def _coco_mask(item: Any, name: str, limit: PixelLimit) -> Masks:
    rle = item.get("segmentation", item) if isinstance(item, dict) else item
    if not isinstance(rle, dict):
        found = "a polygon" if isinstance(rle, list) else f"{rle!r:.40}"
        raise UserError(f"{name}: expected run lengths, found {found}; convert it with pycocotools")
    return coco_rle_to_mask(rle, name, limit)


def _check_size(size: tuple[int, ...], image: Photo, name: str) -> None:
    if size != image.shape[:2]:
        (height, width), (rows, columns) = size, image.shape[:2]
        found = f"masks of {width} x {height} for a photo of {columns} x {rows} pixels"
        raise UserError(f"{name}: {found}; check that the folders belong together")
