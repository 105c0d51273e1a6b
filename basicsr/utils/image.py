"""Images between bytes, HWC RGB arrays and tensors.

Only this file and `basicsr.utils.decode` deal with BGR and value ranges.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from basicsr.utils.decode import Array as Array
from basicsr.utils.decode import decode
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit
from basicsr.utils.reading import LARGEST_IMAGE, read_file

# What image files are called; their content decides how they are read. HEIC needs the extra 'heic'.
READABLE = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".webp",
    ".avif", ".heic", ".heif", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx",
)  # fmt: skip


def decode_rgb(data: bytes, name: str, limit: PixelLimit = OF_PHOTOS) -> Array:
    """Encoded image -> (H, W, 3) RGB, uint8 or uint16, upright; gray as equal channels, without alpha.

    Args:
        name: file or key, for the error.

    Raises:
        UserError: as in `decode`.
    """
    return as_rgb(decode(data, name, limit))


def as_rgb(pixels: Array) -> Array:
    """(H, W), (H, W, 3) RGB or (H, W, 4) RGBA -> (H, W, 3) RGB; gray becomes equal channels."""
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return pixels if pixels.shape[2] == 3 else cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)


def decode_single(data: bytes, name: str, limit: PixelLimit = OF_PHOTOS) -> Array:
    """Encoded image with one channel -> (H, W), uint8 or uint16.

    Raises:
        UserError: as in `decode`, or it has colors that differ.
    """
    image = decode(data, name, limit)
    if image.ndim == 3:
        if not (image[..., :1] == image[..., :3]).all():
            raise UserError(
                f"{name}: expected one channel, found {image.shape[2]} that differ; save it as a gray image"
            )
        image = image[..., 0]
    return image


def encode_png(image: Array, compression: int = 3) -> bytes:
    """(H, W) or (H, W, 3) RGB, uint8 or uint16 -> PNG bytes; ``compression`` is 0 to 9."""
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, buffer = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    assert done
    return buffer.tobytes()


def read_rgb(path: Path) -> Array:
    """`decode_rgb` of a file."""
    return decode_rgb(read_file(path, LARGEST_IMAGE), str(path))


def write_png(path: Path, image: Array) -> None:
    """Write `encode_png` beside ``path`` and rename; parent folders are made."""
    write_bytes(path, encode_png(image))


def to_8_bit(image: Array) -> Array:
    """uint16 of any shape -> uint8, rounded; 65535 becomes 255. uint8 stays what it is."""
    return image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=1 / 257)


def to_tensor(image: Array) -> torch.Tensor:
    """uint8 / uint16 array of any shape -> float32 tensor in [0, 1] with its own memory."""
    scale = float(np.iinfo(image.dtype).max)
    return torch.from_numpy(np.divide(image, scale, dtype=np.float32))


def to_chw(image: Array) -> Array:
    """(H, W, C) -> (C, H, W), a view."""
    return image.transpose(2, 0, 1)


def to_pixels(image: torch.Tensor, dtype: np.dtype[Any] | type) -> Array:
    """(3, H, W) in [0, 1], clamped and rounded -> (H, W, 3) of ``dtype``, uint8 or uint16; NaN becomes 0."""
    largest = float(np.iinfo(dtype).max)
    scaled = image.detach().float().nan_to_num(0.0).clamp(0, 1).mul(largest).round()
    whole = scaled.to(torch.uint8 if largest == 255 else torch.int32)
    pixels: Array = whole.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels.astype(dtype, copy=False)


def to_uint8(image: torch.Tensor) -> Array:
    """`to_pixels` with 8 bits."""
    return to_pixels(image, np.uint8)
