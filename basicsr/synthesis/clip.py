"""A short clip of one photo filmed by a moving camera, to be averaged: blur that varies across the frame.

Pairs of GoPro and REDS were made like this (see `basicsr.synthesis.frame_average`): few frames, each with its
own exposure and noise, and one of them is the target. The camera shifts, rotates and comes nearer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeVar

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from basicsr.synthesis.frame_average import Frame, ResponseTable, average_frames, frame_counts
from basicsr.synthesis.presets import Range

_SHIFT_OF_AN_EXPOSURE = 1.0  # pixels that the camera may shift between two samples of one exposure

Pixel = TypeVar("Pixel", bound=np.generic)


class ClipRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a clip is drawn. Each clip draws its own value from a range (low, high), uniformly unless stated
    otherwise.

    Args:
        extent: shift of the camera during the whole clip in pixels, log-uniform.
        bend: largest deviation of its path from a straight one with constant speed, as a share of ``extent``.
        turn: largest shift of the corners by a rotation about the center, as a share of ``extent``.
        zoom: the same by coming nearer.
        frames: smallest and largest number of frames.
        even: whether even numbers of frames are drawn too, see `frame_counts`.
        shutter: share of the frame interval during which a frame is exposed.
        noise: standard deviation in each frame, on the scale 0..255.
        margin: pixels cut off at each border, so that most of the content that comes into view was in the
            photo.
        gamma: of the photo and of the frames.
    """

    extent: Range = (1.5, 40.0)
    bend: float = 0.25
    turn: float = 0.6
    zoom: float = 0.3
    frames: tuple[int, int] = (7, 13)
    even: bool = False
    shutter: Range = (0.1, 1.0)
    noise: Range = (0.0, 2.0)
    margin: int = 32
    gamma: float = 2.2

    @property
    def frame_counts(self) -> list[int]:
        """Numbers of frames that a clip may have, ascending."""
        return frame_counts(*self.frames, self.even)


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """The values drawn for a clip. Time goes from -0.5 to 0.5.

    Args:
        shift: (x, y) of the camera during the clip in pixels, y down.
        bend: (x, y) in pixels; at time t it adds ``bend * (4 * t**2 - 1)``.
        turn: rotation during the clip, in radians.
        zoom: logarithm of the magnification during the clip.
        frames: number of frames.
        shutter: see `ClipRules`.
        noise: see `ClipRules`.
    """

    shift: tuple[float, float]
    bend: tuple[float, float]
    turn: float
    zoom: float
    frames: int
    shutter: float
    noise: float

    @property
    def target(self) -> int:
        """Number of the middle frame; with an even number of frames, the later of the two."""
        return self.frames // 2

    def time(self, frame: float) -> float:
        """Middle of a frame's exposure."""
        return (frame + 0.5) / self.frames - 0.5

    def pose(self, time: float, height: int, width: int) -> NDArray[np.float64]:
        """Where a point (x, y, 1) of a photo (height, width) is at ``time``: (3, 3)."""
        magnified = math.exp(self.zoom * time)
        cosine, sine = magnified * math.cos(self.turn * time), magnified * math.sin(self.turn * time)
        about = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        to_middle = np.array([[1, 0, (1 - width) / 2], [0, 1, (1 - height) / 2], [0, 0, 1]])
        moved = np.linalg.inv(to_middle)
        moved[:2, 2] += np.array(self.shift) * time + np.array(self.bend) * (4 * time**2 - 1)
        return np.asarray(moved @ about @ to_middle)


def draw_clip(rules: ClipRules, height: int, width: int, generator: np.random.Generator) -> Clip:
    """Draw a clip of a photo of this size."""
    counts = rules.frame_counts
    low, high = rules.extent
    extent = math.exp(generator.uniform(math.log(low), math.log(high)))
    angle, towards = generator.uniform(0, 2 * math.pi, 2)
    bend = extent * generator.uniform(0, rules.bend)
    corner = math.hypot(height, width) / 2
    turn, zoom = generator.uniform(-1, 1, 2) * (rules.turn, rules.zoom) * extent / corner
    return Clip(
        shift=(extent * math.cos(angle), extent * math.sin(angle)),
        bend=(bend * math.cos(towards), bend * math.sin(towards)),
        turn=float(turn),
        zoom=float(zoom),
        frames=counts[int(generator.integers(len(counts)))],
        shutter=float(generator.uniform(*rules.shutter)),
        noise=float(generator.uniform(*rules.noise)),
    )


def film(photo: Frame, clip: Clip, gamma: float, generator: np.random.Generator) -> Iterator[Frame]:
    """The frames of a clip of a photo (H, W, 3), 8-bit RGB of the same size; the border is reflected.

    If nothing moves during its exposure, the target is the photo with noise.
    """
    height, width = photo.shape[:2]
    light = (photo / np.float32(255)) ** np.float32(gamma)
    at_target = np.linalg.inv(clip.pose(clip.time(clip.target), height, width))
    exposure = clip.shutter / clip.frames
    shifted = (math.hypot(*clip.shift) + 4 * math.hypot(*clip.bend)) * exposure
    moments = 1 + math.ceil(shifted / _SHIFT_OF_AN_EXPOSURE)
    for number in range(clip.frames):
        seen = np.zeros_like(light)
        for moment in range(moments):
            time = clip.time(number) + exposure * ((moment + 0.5) / moments - 0.5)
            warp = clip.pose(time, height, width) @ at_target
            seen += cv2.warpPerspective(
                light, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
        frame = np.clip(seen / moments, 0, 1) ** np.float32(1 / gamma) * 255
        frame += clip.noise * generator.standard_normal(frame.shape, np.float32)
        yield frame.round().clip(0, 255).astype(np.uint8)


def without_margin(image: NDArray[Pixel], margin: int) -> NDArray[Pixel]:
    """(H, W, ..) without ``margin`` pixels at each border."""
    inside = slice(margin, -margin or None)
    return image[inside, inside]


def filmed_pair(photo: Frame, rules: ClipRules, generator: np.random.Generator) -> tuple[Frame, Frame]:
    """The mean of the light of a clip's frames, and its target frame, as in GoPro and REDS.

    Returns:
        Both (H - 2 * margin, W - 2 * margin, 3).

    Raises:
        ValueError: if nothing is left of the photo without the margins.
    """
    frames, target = _filmed(photo, rules, generator)
    return average_frames(frames, ResponseTable.from_gamma(rules.gamma), "nearest"), frames[target]


def filmed_frames(photo: Frame, rules: ClipRules, generator: np.random.Generator) -> list[Frame]:
    """The frames of a clip, which `filmed_pair` averages.

    Returns:
        (H - 2 * margin, W - 2 * margin, 3) each.

    Raises:
        ValueError: as `filmed_pair`.
    """
    return _filmed(photo, rules, generator)[0]


def _filmed(photo: Frame, rules: ClipRules, generator: np.random.Generator) -> tuple[list[Frame], int]:
    """The frames without their margins, and the index of the target."""
    height, width = photo.shape[:2]
    if min(height, width) <= 2 * rules.margin:
        raise ValueError(f"a photo of {width}x{height} has nothing inside margins of {rules.margin} pixels")
    clip = draw_clip(rules, height, width, generator)
    frames = [without_margin(frame, rules.margin) for frame in film(photo, clip, rules.gamma, generator)]
    return frames, clip.target
