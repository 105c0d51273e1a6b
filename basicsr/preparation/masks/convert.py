"""Masks of one format to another: label maps, SAM-Deblur's stacks and grey images, COCO, Detectron2."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from basicsr.masks import (
    Overlap,
    check_label_map,
    encode_label_map,
    from_stack,
    gray_to_labels,
    published_gray,
    read_published_npz,
    to_stack,
)
from basicsr.masks.label_map import decode_ids
from basicsr.masks.legacy import read_stack
from basicsr.preparation.masks.coco import encode_coco
from basicsr.preparation.reading import read_bytes
from basicsr.segmenters.base import Masks
from basicsr.segmenters.precomputed import read_coco
from basicsr.storage import DiskStorage
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import require_short_names, write_bytes
from basicsr.utils.folders import require_outside
from basicsr.utils.image import decode_single, encode_png
from basicsr.utils.log import logger
from basicsr.utils.npz import Npz
from basicsr.utils.parallel import in_parallel
from basicsr.utils.pixel_limit import OF_PHOTOS

Format = Literal["labels", "npz", "gray", "coco", "detectron2"]
SUFFIXES = {"labels": ".png", "npz": ".npz", "gray": ".png", "coco": ".json", "detectron2": ".npz"}
# SAM-Deblur's formula for the grey value of a mask repeats itself after as many.
_GRAY_VALUES = 255


@dataclass(frozen=True)
class Conversion:
    """From which format to which.

    Args:
        rule: what a pixel under several masks belongs to, see `basicsr.masks.from_stack`; null is ``exact``
            for label maps, and leaves the masks as they are for the other formats.

    Raises:
        OptionError: a rule for a format in which nothing overlaps.
    """

    source: Format
    target: Format
    rule: Overlap | None = None

    def __post_init__(self) -> None:
        if self.rule is not None and self.source not in _STACKS:
            what = f"--rule: regions of '{self.source}' do not overlap; leave it out (got '{self.rule}')"
            raise OptionError("--rule", [what])


def convert_masks(conversion: Conversion, source: Path, output: Path, overwrite: bool = False) -> int:
    """Convert a file, or all of a folder with its subfolders. Returns the number of files.

    Args:
        output: for a folder a folder; for a file a file, or a folder that exists.
        overwrite: replace files.

    Raises:
        UserError: nothing to convert, an output inside the source or there already; or at the end, naming
            the files that are damaged or of another format.
    """
    pairs = _pair(conversion, source, output)
    require_short_names(place for _, place in pairs)
    taken = next((place for _, place in pairs if place.exists()), None)
    if taken is not None and not overwrite:
        raise UserError(f"{taken}: exists already; take another place, or --overwrite")
    done = 0
    for _ in in_parallel(partial(_convert_file, conversion), pairs, "converting"):
        done += 1
    return done


def convert_bytes(conversion: Conversion, data: bytes, name: str) -> bytes:
    """Bytes of a file of one format -> bytes of a file of the other.

    Args:
        name: file, for the error.

    Raises:
        UserError: damaged, or not what it should be.
    """
    if conversion.source in _STACKS:
        masks = _STACKS[conversion.source](data, name)
        if conversion.target == "labels":
            return encode_label_map(from_stack(masks, conversion.rule or "exact", name), name)
        if conversion.rule is not None:
            masks = to_stack(from_stack(masks, conversion.rule, name))
    else:
        # numbered by hand or by another tool, a label map with few regions may well have 8 bits
        labels = (
            gray_to_labels(decode_single(data, name), name)
            if conversion.source == "gray"
            else check_label_map(decode_ids(data, name), name)
        )
        if conversion.target == "labels":
            return encode_label_map(labels, name)
        masks = to_stack(labels)
    if conversion.target in _ENCODERS:
        return _ENCODERS[conversion.target](masks)
    if len(masks) > _GRAY_VALUES:
        logger().warning(f"{name}: {len(masks)} masks share {_GRAY_VALUES} grey values, so some merge")
    return encode_png(published_gray(masks))


def read_detectron2(data: bytes, name: str) -> Masks:
    """Bytes of an ``.npz`` file with Detectron2's instances, key ``pred_masks`` bool (N, H, W).

    Raises:
        UserError: damaged, without that key, or of another shape or type.
    """
    if not data.startswith(b"PK"):
        raise UserError(f"{name}: not an .npz file; save the instances with numpy.savez_compressed")
    try:
        archive = Npz(data)
        found = archive.keys()
        masks = read_stack(archive, "pred_masks", name, OF_PHOTOS) if "pred_masks" in found else None
    except UserError:
        raise
    except Exception as error:  # NumPy parses the header as Python and lets any error of that through
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: damaged .npz file ({reason}); make it again") from error
    if masks is None:
        raise UserError(f"{name}: expected the key 'pred_masks', found {', '.join(found)}; try --from npz")
    return masks


_STACKS: dict[str, Callable[[bytes, str], Masks]] = {
    "npz": read_published_npz,
    "coco": read_coco,
    "detectron2": read_detectron2,
}


def encode_published_npz(masks: Masks) -> bytes:
    """Stack (M, H, W) -> SAM-Deblur's ``.npz`` with the key ``masks``, bool (M, 1, H, W)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, masks=masks[:, None])
    return buffer.getvalue()


def encode_detectron2(masks: Masks) -> bytes:
    """Stack (M, H, W) -> ``.npz`` with ``pred_masks`` bool (M, H, W), ``scores`` and ``pred_classes`` (M).

    Masks know neither, so every score is 1 and every class 0.
    """
    scores, classes = np.ones(len(masks), np.float32), np.zeros(len(masks), np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, pred_masks=masks, scores=scores, pred_classes=classes)
    return buffer.getvalue()


_ENCODERS: dict[str, Callable[[Masks], bytes]] = {
    "npz": encode_published_npz,
    "coco": encode_coco,
    "detectron2": encode_detectron2,
}


def _pair(conversion: Conversion, source: Path, output: Path) -> list[tuple[Path, Path]]:
    suffix = SUFFIXES[conversion.target]
    if source.is_file():
        return [(source, output / f"{source.stem}{suffix}" if output.is_dir() else output)]
    storage = DiskStorage(source, (SUFFIXES[conversion.source],))
    require_outside(output, source)
    keys = storage.keys()
    return [(Path(storage.describe(key)), output / f"{key}{suffix}") for key in keys]


def _convert_file(conversion: Conversion, pair: tuple[Path, Path]) -> None:
    source, place = pair
    write_bytes(place, convert_bytes(conversion, read_bytes(source), str(source)))
