"""A clip as one file: a video, or a looping animated picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from basicsr.restoration.items import MOVING
from basicsr.restoration.video import write_video
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_atomically
from basicsr.utils.image import Array

_MOST_RATE = 240
_CLOCK = 1000  # pictures count milliseconds


def write_clip(path: Path, frames: Array, fps: float, crf: int = 16, quality: int = 95) -> list[str]:
    """Write a clip, beside ``path``, and rename it.

    Args:
        path: ``.gif``, ``.webp``, or a video as in `basicsr.restoration.video.write_video`.
        frames: uint8 (T, H, W, 3) RGB.
        fps: frames per second.
        crf: of video.
        quality: of WebP, 0 to 100.

    Returns:
        What differs from the frames, for notes.

    Raises:
        UserError: a rate that is not possible, PyAV is missing, or an unknown suffix.
    """
    if not 0 < fps <= _MOST_RATE:
        raise OptionError("--fps", [f"--fps: expected above 0, at most {_MOST_RATE} (got {fps:g})"])
    suffix = path.suffix.lower()
    if suffix not in MOVING:
        return write_video(path, frames, Fraction(fps).limit_denominator(1001), crf)
    first, *others = (Image.fromarray(frame) for frame in frames)

    def write(temporary: Path) -> None:
        first.save(
            temporary,
            format=suffix[1:].upper(),
            save_all=True,
            append_images=others,
            duration=round(_CLOCK / fps),
            loop=0,
            quality=quality,
        )

    write_atomically(path, write)
    return []


def chosen_frames(frames: Array, count: int | None) -> Array:
    """``count`` evenly spaced frames, including the first and the last; a single one is the middle.

    Args:
        frames: (T, H, W, 3).
        count: None is all.

    Raises:
        UserError: more than there are, or none.
    """
    made = len(frames)
    if count is None or count == made:
        return frames
    if not 1 <= count <= made:
        raise UserError(f"--frames {count}: the network makes {made} frames of a photo; take 1 to {made}")
    places = [made // 2] if count == 1 else np.linspace(0, made - 1, count).round().astype(int)
    return frames[places]
