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

Array = NDArray[Any]
READABLE = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def decode_rgb(data: bytes, name: str) -> Array:
    """Encoded image -> (H, W, 3) uint8 or uint16 RGB; grey becomes three equal channels, alpha is dropped.

    Args:
        name: file or key, for the error.

    Raises:
        UserError: ``data`` is not a complete image.
    """
    bgr = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, name)
    if bgr.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{name}: pixels of type {bgr.dtype} are not supported; save it with 8 or 16 bits a channel"
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


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
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{name}: not an image, or cut short; replace the file")
    # OpenCV fills what is missing of a JPEG with grey and says nothing.
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-1024:]:
        raise UserError(f"{name}: the JPEG is cut short; replace the file")
    return image


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


def to_tensor(image: Array) -> torch.Tensor:
    """uint8 / uint16 array of any shape -> float32 tensor in [0, 1] with its own memory."""
    scale = float(np.iinfo(image.dtype).max)
    return torch.from_numpy(np.divide(image, scale, dtype=np.float32))


def to_chw(image: Array) -> Array:
    """(H, W, C) -> (C, H, W), a view."""
    return image.transpose(2, 0, 1)


def to_uint8(image: torch.Tensor) -> Array:
    """(3, H, W) in [0, 1], clamped and rounded -> (H, W, 3) uint8; NaN becomes 0."""
    scaled = image.detach().float().nan_to_num(0.0).clamp(0, 1).mul(255).round()
    return scaled.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
