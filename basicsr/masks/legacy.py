"""Mask formats of others: SAM-Deblur's boolean stacks and grey images, and COCO's run lengths.

The published grey image adds up one value for each mask, so overlapping masks can meet the value of an
unrelated one. It is here because the published grouped masks, and the networks with a mask channel, were made
with it. Run lengths are what SAM's own tools write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.utils.errors import UserError
from basicsr.utils.npz import Npz
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit

Masks = NDArray[np.bool_]
_LONGEST_NUMBER = 64  # bits
_LARGEST_STACK = 1 << 31  # pixels, a byte each


def as_planes(masks: NDArray[Any], name: str = "masks") -> Masks:
    """Boolean stack (M, H, W), or (M, 1, H, W) as SAM-Deblur stores it -> a view (M, H, W).

    Raises:
        UserError: another shape or type, or no pixels.
    """
    _plane_size(masks.shape, masks.dtype, name)
    return masks[:, 0] if masks.ndim == 4 else masks


def _plane_size(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> tuple[int, int]:
    is_stack = len(shape) == 3 or (len(shape) == 4 and shape[1] == 1)
    if dtype != np.bool_ or not is_stack or 0 in shape[-2:]:
        wanted, found = "a boolean stack (M, H, W) or (M, 1, H, W)", f"{dtype} {shape}"
        raise UserError(f"{name}: expected {wanted}, found {found}; convert it")
    return shape[-2], shape[-1]


def require_stack_fits(count: int, height: int, width: int, name: str) -> None:
    """Check the size of a stack before memory is taken for it.

    Raises:
        UserError: more than 2^31 pixels in all.
    """
    if count * height * width > _LARGEST_STACK:
        found = f"{count} masks of {width} x {height} pixels"
        raise UserError(f"{name}: {found} are more than 2^31 pixels in all; keep the masks as a label map")


def read_published_npz(data: bytes, name: str, limit: PixelLimit = OF_PHOTOS) -> Masks:
    """Bytes of a SAM-Deblur ``.npz`` file with the key ``masks``, bool (M, 1, H, W) -> (M, H, W).

    Args:
        name: file or key, for the error.
        limit: of the pixels of a mask.

    Raises:
        UserError: damaged, without that key, of another shape or type, with pickled objects, or larger than
            ``limit`` or, in all, than `require_stack_fits` allows.
    """
    if not data.startswith(b"PK"):
        raise UserError(f"{name}: not an .npz file; save the stack with numpy.savez_compressed")
    try:
        archive = Npz(data)
        if "masks" not in archive.keys():  # noqa: SIM118 - it is no mapping
            found = ", ".join(archive.keys()) or "none"
            raise UserError(f"{name}: expected the key 'masks', found {found}; save the stack as 'masks'")
        return read_stack(archive, "masks", name, limit)
    except UserError:
        raise
    except Exception as error:  # NumPy parses the header as Python and lets any error of that through
        if "allow_pickle" in str(error):
            why = "pickled Python objects are refused, because reading them can run any code"
            raise UserError(f"{name}: {why}; save 'masks' as a boolean array") from error
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: damaged .npz file ({reason}); make it again") from error


def read_stack(archive: Npz, key: str, name: str, limit: PixelLimit) -> Masks:
    """A stack of masks (M, H, W) of an archive, whose size is compared with ``limit`` before it is unpacked.

    Raises:
        UserError: another shape or type, or too large.
        Exception: damaged; any kind.
    """
    header = archive.header(key)
    height, width = _plane_size(header.shape, header.dtype, name)
    limit.check(width, height, name)
    require_stack_fits(header.shape[0], height, width, name)
    return as_planes(archive.read(key), name)


def published_gray(masks: NDArray[Any]) -> NDArray[np.uint8]:
    """SAM-Deblur's grey mask image of a boolean stack (M, H, W) or (M, 1, H, W) -> uint8 (H, W).

    Mask i, in the order of the generator, adds 2 (i + 1) for i < 127 and 2 (255 - i) - 1 from there on. The
    sum is clipped to [0, 255].
    """
    planes = as_planes(masks)
    gray = np.zeros(planes.shape[1:], np.int32)
    for i, plane in enumerate(planes):
        gray[plane] += 2 * (i + 1) if i < 127 else 2 * (255 - i) - 1
    return gray.clip(0, 255).astype(np.uint8)


def gray_to_labels(gray: NDArray[Any], name: str = "gray") -> NDArray[np.int32]:
    """Published grey image, uint8 (H, W) -> label map in which every distinct value, 0 included, is a region.

    Ids 1..K ascend with the value, so nothing is uncovered.

    Raises:
        UserError: another shape or type.
    """
    if gray.dtype != np.uint8 or gray.ndim != 2:
        found = f"{gray.dtype} {gray.shape}"
        raise UserError(f"{name}: expected a grey image uint8 (H, W), found {found}; convert it")
    # Arrays as indices would be copied with 8 bytes a pixel.
    counts = cv2.calcHist([gray], [0], None, [256], [0, 256])
    ids = np.cumsum(counts.ravel() > 0, dtype=np.int32)
    return np.asarray(cv2.LUT(gray, ids), np.int32)


def coco_rle_to_mask(rle: Mapping[str, Any], name: str = "RLE", limit: PixelLimit = OF_PHOTOS) -> Masks:
    """COCO run lengths ``{"size": [H, W], "counts": ...}`` -> bool (H, W).

    ``counts`` alternates runs outside and inside the mask, column by column: a list of integers, or COCO's
    compressed string.

    Raises:
        UserError: a key is missing, the string is not one of COCO's, the runs do not fill the image, or it is
            larger than ``limit``.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not _are_whole(size) or len(size) != 2 or min(size) < 1:
        raise UserError(f"{name}: expected 'size': [height, width], found {size!r}; is it a COCO mask?")
    height, width = size
    limit.check(width, height, name)
    if isinstance(counts, str):
        counts = counts.encode()
    if isinstance(counts, bytes):
        runs = _decompress(counts, name)
    elif _are_whole(counts):
        runs = list(counts)
    else:
        found = type(counts).__name__
        raise UserError(f"{name}: expected 'counts', integers or a string, found {found}; is it a COCO mask?")
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
        if shift > _LONGEST_NUMBER:
            raise UserError(f"{name}: a run of more than 2^{_LONGEST_NUMBER} pixels; write the mask again")
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
