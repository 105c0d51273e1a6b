"""Mask formats of others: SAM-Deblur's boolean stacks and grey images, and COCO's run lengths.

The published grey image adds up one value for each mask, so overlapping masks can meet the value of an
unrelated one. It is here because the published grouped masks, and the networks with a mask channel, were made
with it. Run lengths are what SAM's own tools write.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from basicsr.utils.errors import UserError

Masks = NDArray[np.bool_]


def as_planes(masks: NDArray[Any], name: str = "masks") -> Masks:
    """Boolean stack (M, H, W), or (M, 1, H, W) as SAM-Deblur stores it -> a view (M, H, W).

    Raises:
        UserError: another shape or type, or no pixels.
    """
    planes = masks[:, 0] if masks.ndim == 4 and masks.shape[1] == 1 else masks
    if planes.dtype != np.bool_ or planes.ndim != 3 or 0 in planes.shape[1:]:
        wanted, found = "a boolean stack (M, H, W) or (M, 1, H, W)", f"{masks.dtype} {masks.shape}"
        raise UserError(f"{name}: expected {wanted}, found {found}; convert it")
    return planes


def read_published_npz(data: bytes, name: str) -> Masks:
    """Bytes of a SAM-Deblur ``.npz`` file with the key ``masks``, bool (M, 1, H, W) -> (M, H, W).

    Raises:
        UserError: damaged, without that key, of another shape or type, or with pickled objects.
    """
    if not data.startswith(b"PK"):
        raise UserError(f"{name}: not an .npz file; save the stack with numpy.savez_compressed")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            if "masks" not in archive:
                found = ", ".join(archive) or "none"
                raise UserError(f"{name}: expected the key 'masks', found {found}; save the stack as 'masks'")
            masks = archive["masks"]
    except UserError:
        raise
    except Exception as error:  # NumPy parses the header as Python and lets any error of that through
        if "allow_pickle" in str(error):
            why = "pickled Python objects are refused, because reading them can run any code"
            raise UserError(f"{name}: {why}; save 'masks' as a boolean array") from error
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: damaged .npz file ({reason}); make it again") from error
    return as_planes(np.asarray(masks), name)


def published_grey(masks: NDArray[Any]) -> NDArray[np.uint8]:
    """SAM-Deblur's grey mask image of a boolean stack (M, H, W) or (M, 1, H, W) -> uint8 (H, W).

    Mask i, in the order of the generator, adds 2 (i + 1) for i < 127 and 2 (255 - i) - 1 from there on. The
    sum is clipped to [0, 255].
    """
    planes = as_planes(masks)
    grey = np.zeros(planes.shape[1:], np.int32)
    for i, plane in enumerate(planes):
        grey[plane] += 2 * (i + 1) if i < 127 else 2 * (255 - i) - 1
    return grey.clip(0, 255).astype(np.uint8)


def grey_to_labels(grey: NDArray[Any], name: str = "grey") -> NDArray[np.int32]:
    """Published grey image, uint8 (H, W) -> label map in which every distinct value, 0 included, is a region.

    Ids 1..K ascend with the value, so nothing is uncovered.

    Raises:
        UserError: another shape or type.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2:
        found = f"{grey.dtype} {grey.shape}"
        raise UserError(f"{name}: expected a grey image uint8 (H, W), found {found}; convert it")
    ids = np.cumsum(np.bincount(grey.ravel(), minlength=256) > 0, dtype=np.int32)
    labels: NDArray[np.int32] = ids[grey]
    return labels


def coco_rle_to_mask(rle: Mapping[str, Any], name: str = "RLE") -> Masks:
    """COCO run lengths ``{"size": [H, W], "counts": ...}`` -> bool (H, W).

    ``counts`` alternates runs outside and inside the mask, column by column: a list of integers, or COCO's
    compressed string.

    Raises:
        UserError: a key is missing, the string is not one of COCO's, or the runs do not fill the image.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not _are_whole(size) or len(size) != 2 or min(size) < 1:
        raise UserError(f"{name}: expected 'size': [height, width], found {size!r}; is it a COCO mask?")
    if isinstance(counts, str):
        counts = counts.encode()
    if isinstance(counts, bytes):
        runs = _decompress(counts, name)
    elif _are_whole(counts):
        runs = list(counts)
    else:
        found = type(counts).__name__
        raise UserError(f"{name}: expected 'counts', integers or a string, found {found}; is it a COCO mask?")
    height, width = size
    if min(runs, default=0) < 0:
        raise UserError(f"{name}: a run of {min(runs)} pixels; write the mask again")
    if sum(runs) != height * width:
        raise UserError(f"{name}: runs of {sum(runs)} pixels for {height} x {width}; write the mask again")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def _are_whole(values: object) -> TypeGuard[list[int] | tuple[int, ...]]:
    return isinstance(values, (list, tuple)) and all(type(value) is int for value in values)


def _decompress(text: bytes, name: str) -> list[int]:
    """Run lengths of COCO's string.

    A character is 48 + six bits: five of the number, lowest first, and bit 5 where more follow. Bit 4 of the
    last one is the sign. From the fourth number on, the difference to the number two places before is stored.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64:
            found = repr(chr(character))
            raise UserError(f"{name}: {found} is no character of COCO's strings; write the mask again")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift:
        raise UserError(f"{name}: the COCO string is cut short; write the mask again")
    return runs
