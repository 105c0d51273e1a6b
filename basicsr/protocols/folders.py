"""Shared by the evaluation commands: reading, protection from overwriting, pictures, results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.storage import DiskStorage
from basicsr.utils.errors import UserError
from basicsr.utils.files import require_short_names
from basicsr.utils.image import decode_rgb

Image = NDArray[np.float32]

_GAP = 6
_LINE = 24  # for the caption above


def read_unit(storage: DiskStorage, key: str) -> Image:
    """The image as float32 (H, W, 3) RGB in [0, 1], whatever its depth.

    Raises:
        UserError: if it cannot be read.
    """
    image = decode_rgb(storage.read(key), storage.describe(key))
    return np.divide(image, np.iinfo(image.dtype).max, dtype=np.float32)


def require_free(targets: Iterable[Path], overwrite: bool) -> None:
    """Check that nothing would be overwritten, unless requested, and that files can have these names.

    Raises:
        UserError: names the first of ``targets`` that exists, or whose name is too long.
    """
    targets = list(targets)
    require_short_names(targets)
    taken = next((target for target in targets if target.exists()), None)
    if taken is not None and not overwrite:
        raise UserError(f"{taken}: exists already; use another folder, or --overwrite")


def side_by_side(panels: Sequence[tuple[str, NDArray[Any]]]) -> NDArray[np.uint8]:
    """Captions and RGB images (H, W, 3) in [0, 1] of one height -> one 8-bit picture on white."""
    parts: list[NDArray[np.uint8]] = []
    for caption, image in panels:
        panel = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
        strip = np.full((_LINE, panel.shape[1], 3), 255, np.uint8)
        cv2.putText(strip, caption, (2, _LINE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        gap = np.full((_LINE + panel.shape[0], _GAP, 3), 255, np.uint8)
        parts += [np.concatenate([strip, panel]), gap]
    return np.concatenate(parts[:-1], axis=1)
