"""Images between bytes, HWC RGB arrays and tensors: the only place that knows of BGR and ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.photo_metadata import jpeg_segments

Array = NDArray[Any]
# What image files are called; their content decides how they are read. HEIC needs the extra 'heic'.
READABLE = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".webp",
    ".avif", ".heic", ".heif", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx",
)  # fmt: skip


def decode_rgb(data: bytes, name: str) -> Array:
    """Encoded image -> (H, W, 3) uint8 or uint16 RGB; grey becomes three equal channels, alpha is dropped.

    Args:
        name: file or key, for the error.

    Raises:
        UserError: ``data`` is not a complete image.
    """
    bgr = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, name)
    _check_depth(bgr, name)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def decode_stored(data: bytes, name: str) -> Array:
    """Encoded image -> (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, not turned by its EXIF.

    Raises:
        UserError: not a complete image, or neither 8 nor 16 bits a channel.
    """
    image = _decode(data, cv2.IMREAD_UNCHANGED, name)
    _check_depth(image, name)
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def decode_single(data: bytes, name: str) -> Array:
    """Encoded image with one channel -> (H, W), in the depth of the file.

    Raises:
        UserError: not an image, or it has colours that differ.
    """
    image = _decode(data, cv2.IMREAD_UNCHANGED, name)
    if image.ndim == 3:
        if not (image[..., :1] == image[..., :3]).all():
            raise UserError(
                f"{name}: expected one channel, found {image.shape[2]} that differ; save it as a grey image"
            )
        image = image[..., 0]
    return image


def _decode(data: bytes, flags: int, name: str) -> Array:
    # The error here names the file; OpenCV would print a second one that does not.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    set_log_level(0)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{name}: not an image, or cut short; replace the file")
    # OpenCV fills what is missing of a JPEG with grey and says nothing.
    if data[:2] == b"\xff\xd8" and not _has_jpeg_end(data):
        raise UserError(f"{name}: the JPEG is cut short; replace the file")
    return image


def _has_jpeg_end(data: bytes) -> bool:
    """The end marker comes behind the start of the pixels; phones append films and depth maps to it."""
    scan = max((end for _, _, end in jpeg_segments(data)), default=0)
    return data.rfind(b"\xff\xd9", scan) >= 0


def _check_depth(image: Array, name: str) -> None:
    if image.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{name}: pixels of type {image.dtype} are not supported; save it with 8 or 16 bits a channel"
        )


def encode_png(image: Array, compression: int = 3) -> bytes:
    """(H, W) or (H, W, 3) RGB, uint8 or uint16 -> PNG bytes; ``compression`` is 0 to 9."""
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, buffer = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    assert done
    return buffer.tobytes()


def read_rgb(path: Path) -> Array:
    """`decode_rgb` of a file."""
    return decode_rgb(path.read_bytes(), str(path))


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
