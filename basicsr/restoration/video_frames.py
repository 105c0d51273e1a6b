"""Frames of a video as upright RGB arrays and back, in the color matrix and range they came in."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame

Picture = NDArray[np.uint8]

# Numbers of ITU-T H.273. swscale knows the matrices by the same ones, but SMPTE 170M, which equals BT.601.
BT709, BT601, SMPTE170M = 1, 5, 6
_MATRICES = {BT709, 4, BT601, 7, 9}
_LIMITED, _FULL = 1, 2
_HIGH_DYNAMIC_RANGE = {16, 18}  # transfer curves PQ and HLG
# swscale: bicubic, exact rounding, colors at full resolution; its default darkens by one level.
_SCALING = 0x4 | 0x40000 | 0x2000 | 0x4000
_LARGEST_BT601 = 576  # lines of standard definition


class FrameConversion:
    """Both ways between the frames of one video and uint8 (H, W, 3) RGB.

    Attributes:
        width, height: of the upright picture.
        is_lying: frames have width and height exchanged.
        matrix: number of the YCbCr matrix; unnamed it is BT.709 for high definition, else BT.601.

    Args:
        av: the module PyAV.
        first: a frame of the video.
    """

    def __init__(self, av: ModuleType, first: VideoFrame) -> None:
        self._av = av
        self._turns = round(first.rotation / 90) % 4  # to the left
        self.is_lying = self._turns % 2 == 1
        sides = (first.height, first.width)
        self.height, self.width = sides[::-1] if self.is_lying else sides
        self.matrix = first.colorspace
        if self.matrix == SMPTE170M:
            self.matrix = BT601
        elif self.matrix not in _MATRICES:
            self.matrix = BT709 if min(first.width, first.height) > _LARGEST_BT601 else BT601
        is_full = first.color_range == _FULL or first.format.name.startswith("yuvj")
        self._range = _FULL if is_full else _LIMITED
        self.notes = []
        if self._turns:
            self.notes.append("frames are stored upright, not with a rotation for the player")
        deepest = max(component.bits for component in first.format.components)
        if deepest > 8:
            self.notes.append(f"{deepest} bits rounded to 8")
        if first.color_trc in _HIGH_DYNAMIC_RANGE:
            self.notes.append("high dynamic range in 8 bits shows steps in smooth areas")

    def to_rgb(self, frame: VideoFrame) -> Picture:
        """The upright picture of a frame."""
        stored = frame.to_ndarray(
            format="rgb24",
            src_colorspace=self.matrix,
            src_color_range=self._range,
            dst_color_range=_FULL,
            interpolation=_SCALING,
        )
        return np.ascontiguousarray(np.rot90(stored, self._turns), np.uint8)

    def to_frame(self, picture: Picture) -> VideoFrame:
        """A frame with 4:2:0 colors of an upright picture of any size; it stays upright."""
        frame: VideoFrame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        return frame.reformat(
            format="yuv420p",
            src_color_range=_FULL,
            dst_colorspace=self.matrix,
            dst_color_range=self._range,
            interpolation=_SCALING,
        )
