"""Windows that cover an image, and the blending of what a network makes of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

AnyArray = TypeVar("AnyArray", NDArray[Any], Tensor)


class Window(NamedTuple):
    """A part of an image in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, x: AnyArray) -> AnyArray:
        """This part of an array (.., H, W), a view."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]


class Tiling:
    """Windows of one size that cover an image, row by row, and share pixels with their neighbors.

    Args:
        size: height and width of the image in pixels.
        window: height and width of a window; a smaller image is one window.
        overlap: least number of pixels that neighbors share. They are blended by a linear ramp of that
            length; with 0 the pixels that they share all the same are averaged.

    Attributes:
        windows: row by row.
    """

    def __init__(self, size: tuple[int, int], window: tuple[int, int], overlap: int) -> None:
        self._rows, self._columns = size
        height, width = min(window[0], self._rows), min(window[1], self._columns)
        self._tops = window_starts(self._rows, height, overlap)
        lefts = window_starts(self._columns, width, overlap)
        self._down = blend_weights(self._rows, height, self._tops, overlap)
        self._across = blend_weights(self._columns, width, lefts, overlap)
        self.windows = [Window(top, left, height, width) for top in self._tops for left in lefts]

    def blend(
        self, run: Callable[[Sequence[Window]], Iterable[Tensor]], at_once: int = 1
    ) -> Iterator[Tensor]:
        """Rows (.., h, W) of the whole image from top to bottom, each time as many as are finished.

        Only one row of windows is held, so an image may be far larger than its float version.

        Args:
            run: some windows -> what becomes of each, (.., height, width) with any leading axes.
            at_once: windows in one call of ``run``.
        """
        band: Tensor | None = None  # rows from the top of the current windows on
        for number, part in enumerate(self._parts(run, at_once)):
            row, column = divmod(number, len(self._across))
            if band is None:
                band = part.new_zeros(*part.shape[:-1], self._columns)
            down, across = self._down[row].to(part.device), self._across[column].to(part.device)
            left = self.windows[number].left
            band[..., left : left + part.shape[-1]] += part * (down[:, None] * across)
            if column + 1 == len(self._across):
                below = self._tops[row + 1] if row + 1 < len(self._tops) else self._rows
                done = below - self._tops[row]
                yield band[..., :done, :]
                band = nn.functional.pad(band[..., done:, :], (0, 0, 0, done))

    def _parts(self, run: Callable[[Sequence[Window]], Iterable[Tensor]], at_once: int) -> Iterator[Tensor]:
        for first in range(0, len(self.windows), at_once):
            yield from run(self.windows[first : first + at_once])


def window_starts(length: int, window: int, overlap: int) -> list[int]:
    """Starts of the fewest windows that cover ``length`` and share ``overlap`` pixels, spread evenly."""
    if window >= length:
        return [0]
    count = math.ceil((length - overlap) / (window - overlap))
    step = math.ceil((length - window) / (count - 1))
    return [min(index * step, length - window) for index in range(count)]


def blend_weights(length: int, window: int, starts: Sequence[int], overlap: int) -> Tensor:
    """Weights (windows, window) along one side: linear ramps over ``overlap``; those of a pixel sum to 1."""
    position = torch.arange(1, window + 1, dtype=torch.float32)
    ramp = (torch.minimum(position, window + 1 - position) / (overlap + 1)).clamp(max=1)
    total = torch.zeros(length)
    for start in starts:
        total[start : start + window] += ramp
    return torch.stack([ramp / total[start : start + window] for start in starts])
