"""Display of masks: photos with tinted regions, and a contact sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.masks import read_label_map
from basicsr.masks.pictures import overlay
from basicsr.preparation.photos import find_photos, read_photo
from basicsr.preparation.reading import read_bytes
from basicsr.storage import DiskStorage
from basicsr.utils.errors import UserError
from basicsr.utils.files import require_short_names
from basicsr.utils.folders import require_outside
from basicsr.utils.image import write_png
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel

Picture = NDArray[np.uint8]
SHEET = "contact_sheet.png"
_THUMBNAIL = 240  # longest side in pixels
_LINE = 18  # for the name below
_GAP = 8


def show_masks(
    images: Path, labels: Path, output: Path, sheet_size: int = 100, overwrite: bool = False
) -> int:
    """Write ``<key>.png``, a photo overlaid with its regions, for each with a label map, and a contact sheet.

    Args:
        labels: label maps, or SAM-Deblur's gray images or ``.npz`` stacks, named like the photos.
        sheet_size: maximum number of photos on the sheet, evenly selected.
        overwrite: replace files.

    Returns:
        The number of overlays.

    Raises:
        UserError: if no photo has a label map, or an output exists already or would be read as an input. At
            the end, names the files that are damaged or differ in size.
    """
    photos, maps = find_photos(images), DiskStorage(labels, (".png", ".npz"))
    for folder in (images, labels):
        require_outside(output, folder)
    with_map = set(maps.keys())
    keys = [key for key in photos.keys() if key in with_map]  # noqa: SIM118
    if not keys:
        raise UserError(f"{labels}: no label map has the name of a photo in {images}; check the folders")
    if len(keys) < len(photos.keys()):
        logger().warning(f"{labels}: {len(photos.keys()) - len(keys)} photos have no label map, left out")
    items = [(Path(photos.describe(key)), Path(maps.describe(key)), output / f"{key}.png") for key in keys]
    targets = [*(place for _, _, place in items), output / SHEET]
    require_short_names(targets)
    taken = next((place for place in targets if place.exists()), None)
    if taken is not None and not overwrite:
        raise UserError(f"{taken}: exists already; use another folder, or --overwrite")
    if len(set(targets)) < len(targets):
        raise UserError(f"{images}: a photo has the name of the contact sheet; rename it")

    step = max(1, math.ceil(len(items) / sheet_size))
    on_sheet = {place: key for key, (_, _, place) in list(zip(keys, items, strict=True))[::step]}
    thumbnails, done = [], 0
    try:
        for place, thumbnail in in_parallel(_write_overlay, items, "overlays", threads=True):
            done += 1
            if place in on_sheet:
                thumbnails.append(_with_name(thumbnail, on_sheet[place]))
    finally:
        if thumbnails:
            write_png(output / SHEET, contact_sheet(thumbnails))
    return done


def contact_sheet(tiles: Sequence[Picture]) -> Picture:
    """RGB pictures of any size -> one picture on white, row by row, with about as many rows as columns."""
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height = max(tile.shape[0] for tile in tiles) + _GAP
    width = max(tile.shape[1] for tile in tiles) + _GAP
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = _GAP + i // columns * height, _GAP + i % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _write_overlay(item: tuple[Path, Path, Path]) -> tuple[Path, Picture]:
    photo, mask, place = item
    image, _ = read_photo(read_bytes(photo), str(photo))
    labels = read_label_map(mask)
    if labels.shape != image.shape[:2]:
        (height, width), (rows, columns) = labels.shape, image.shape[:2]
        what = f"{width} x {height} pixels, {photo} has {columns} x {rows}"
        raise UserError(f"{mask}: {what}; make the masks again")
    picture = overlay(image, labels)
    write_png(place, picture)
    scale = min(1.0, _THUMBNAIL / max(picture.shape))
    size = [max(1, round(length * scale)) for length in picture.shape[1::-1]]
    thumbnail: Any = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return place, thumbnail


def _with_name(thumbnail: Picture, name: str) -> Picture:
    strip = np.full((_LINE, thumbnail.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, name, (1, _LINE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([thumbnail, strip])
