"""Blur as the mean of the light of consecutive sharp frames, as in GoPro and REDS.

Nah et al., "Deep Multi-scale Convolutional Neural Network for Dynamic Scene Deblurring" (CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.npz import read_npy
from basicsr.utils.reading import read_file

Frame = NDArray[np.uint8]
Light = NDArray[np.float64]
Rounding = Literal["truncate", "nearest"]

LEVELS = 256
_LARGEST_TABLE = 1 << 20  # bytes
_SLACK = 1e-9  # share of a step between values, for the rounding of a mean of floats


@dataclass(frozen=True)
class ResponseTable:
    """A camera's response for 8-bit values; light is in any unit.

    Args:
        light: (256, 3), linear light of each value in R, G and B, increasing.
        halfway: (255, 3), the light above which the next value is nearer.
    """

    light: Light
    halfway: Light

    @classmethod
    def from_gamma(cls, gamma: float) -> ResponseTable:
        """``light = (value / 255) ** gamma``; 1 averages the values themselves.

        Raises:
            OptionError: if gamma is not positive.
        """
        if not 0 < gamma < np.inf:
            raise OptionError("--gamma", [f"--gamma: expected a number above 0 (got {gamma})"])
        values = np.arange(LEVELS)[:, None].repeat(3, 1)
        return cls((values / 255) ** gamma, ((values[:-1] + 0.5) / 255) ** gamma)

    @classmethod
    def from_file(cls, path: Path) -> ResponseTable:
        """The light of the values 0 to 255 from ``.npy``: (256,), (256, 1), or (256, 3) in RGB order.

        Between two values the response is linear.

        Raises:
            UserError: if it is not such an array, or does not increase everywhere.
        """
        try:
            table = np.asarray(read_npy(read_file(path, _LARGEST_TABLE)))
        except UserError:
            raise
        except Exception as error:  # NumPy parses the header as Python, which can raise any error
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: cannot be read as .npy ({reason}); save the table again") from error
        if table.shape not in ((LEVELS,), (LEVELS, 1), (LEVELS, 3)) or table.dtype.kind not in "uif":
            found = f"{table.dtype} {table.shape}"
            raise UserError(f"{path}: expected 256 numbers, or 256 x 3, found {found}; save the table again")
        light = np.broadcast_to(table.reshape(LEVELS, -1).astype(np.float64), (LEVELS, 3))
        rises = (np.diff(light, axis=0) > 0).all(axis=1) & np.isfinite(light[1:]).all(axis=1)
        if not rises.all():
            value = int(np.argmin(rises))
            found = f"does not increase from value {value} to {value + 1}"
            raise UserError(f"{path}: the light {found}; a response has to increase everywhere")
        return cls(light, (light[1:] + light[:-1]) / 2)

    def to_frame(self, light: Light, rounding: Rounding) -> Frame:
        """(H, W, 3) linear light -> 8-bit RGB: the last value reached, or the nearest."""
        limits = self.halfway if rounding == "nearest" else self.light[1:]
        limits = limits - _SLACK * np.diff(self.light, axis=0)
        frame = np.empty(light.shape, np.uint8)
        for channel in range(3):
            frame[..., channel] = np.searchsorted(limits[:, channel], light[..., channel], side="right")
        return frame


def frame_counts(least: int, most: int, even: bool) -> list[int]:
    """Numbers of frames that may be drawn from a range.

    Args:
        least, most: the range, both included.
        even: whether even numbers may be drawn. They have no middle frame: a target, the later one of the two
            in the middle, lies half a frame after the center of the blur, which punishes sharp results and
            teaches displacement. A range without an odd number gives its even one all the same.
    """
    odd = [count for count in range(least, most + 1) if count % 2]
    return list(range(least, most + 1)) if even or not odd else odd


def off_center(counts: Sequence[int]) -> str | None:
    """What to say of numbers of frames some of which are even; None if all are odd."""
    even = next((count for count in counts if count % 2 == 0), None)
    if even is None:
        return None
    what = f"{even} frames have no middle one, so the target lies half a frame after the center of the blur"
    return f"{what}; take an odd number"


def average_frames(
    frames: Iterable[Frame], response: ResponseTable, rounding: Rounding = "truncate"
) -> Frame:
    """The photo that a shutter open during all ``frames`` would have recorded.

    Memory does not grow with the number of frames.

    Args:
        frames: at least one, (H, W, 3) 8-bit RGB of the same size.
        rounding: ``truncate`` as in the published GoPro images, which makes them half a gray value too dark.

    Raises:
        ValueError: if there is no frame, or sizes differ.
    """
    table = np.ascontiguousarray(response.light[:, None])
    total: Light | None = None
    light: Light | None = None
    count = 0
    for frame in frames:
        if total is None or light is None:
            total, light = np.zeros(frame.shape), np.empty(frame.shape)
        if frame.shape != total.shape:
            raise ValueError(f"the frames differ in size: {total.shape[:2]} and {frame.shape[:2]}")
        total += cv2.LUT(frame, table, light)
        count += 1
    if total is None:
        raise ValueError("no frame to average")
    return response.to_frame(total / count, rounding)
