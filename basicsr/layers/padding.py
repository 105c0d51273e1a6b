"""Fitting images of any size to a network that halves them several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Padding = Literal["edge", "zeros", "reflect"]


@dataclass(frozen=True)
class SizeRule:
    """Which heights and widths a network takes, and how images of other sizes are made to fit.

    Args:
        multiple_of: heights and widths are multiples of it.
        minimum: smallest height and width.
        square: whether height and width have to be equal.
        padding: what is added. ``edge`` repeats the last column and row, so that networks trained here see no
            black strip, next to which they would overshoot. ``zeros`` adds zeros, as in the training and
            evaluation of published networks. ``reflect`` mirrors the image at its outermost pixels.
        centered: add on both sides, an odd row or column at the bottom and right; otherwise only there.
    """

    multiple_of: int = 1
    padding: Padding = "edge"
    minimum: int = 1
    square: bool = False
    centered: bool = False

    def missing(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns missing from an image of this size."""
        if self.minimum == 1 and not self.square:
            return -height % self.multiple_of, -width % self.multiple_of
        wanted = [self._next(max(length, self.minimum)) for length in (height, width)]
        if self.square:
            wanted = [max(wanted)] * 2
        return wanted[0] - height, wanted[1] - width

    def _next(self, length: int) -> int:
        return length + -length % self.multiple_of

    def sides(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows added (above, below) an image of this size, and columns added (left, right)."""
        rows, columns = self.missing(height, width)
        top, left = (rows // 2, columns // 2) if self.centered else (0, 0)
        return (top, rows - top), (left, columns - left)

    def pad(self, image: Tensor) -> Tensor:
        """Add the missing rows and columns to (..., H, W)."""
        return self.extend(image, *self.sides(*image.shape[-2:]))

    def crop(self, padded: Tensor, height: int, width: int) -> Tensor:
        """The (..., height, width) that `pad` was given."""
        (top, _), (left, _) = self.sides(height, width)
        return padded[..., top : top + height, left : left + width]

    def extend(self, image: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Add ``rows`` (above, below) and ``columns`` (left, right) to (..., H, W)."""
        match self.padding:
            case "edge":
                return repeat_edge(image, rows[1], columns[1], rows[0], columns[0])
            case "zeros":
                return nn.functional.pad(image, (*columns, *rows))
            case "reflect":
                return _reflected(_reflected(image, -2, *rows), -1, *columns)

    def pad_labels(self, labels: Tensor) -> Tensor:
        """Add label 0 = uncovered to (..., H, W) in the same places, which changes no region's mean."""
        rows, columns = self.sides(*labels.shape[-2:])
        return nn.functional.pad(labels, (*columns, *rows))


def _reflected(image: Tensor, dim: int, before: int, after: int) -> Tensor:
    """``image`` mirrored at its first and last row (or column), as often as it takes."""
    if before == after == 0:
        return image
    last = image.shape[dim] - 1
    steps = torch.arange(-before, last + 1 + after, device=image.device)
    # a tensor, since ONNX does not accept a dynamic length as a number
    steps = steps.remainder(torch.full_like(steps, max(2 * last, 1)))
    return image.index_select(dim, last - (steps - last).abs())


def repeat_edge(image: Tensor, bottom: int, right: int, top: int = 0, left: int = 0) -> Tensor:
    """Repeat the first and last row of (..., H, W) ``top`` and ``bottom`` times more, columns likewise."""
    # Concatenated, since PyTorch's replication padding has no deterministic gradient on CUDA, and none at all
    # under torch.compile on the CPU.
    above = image[..., :1, :].expand(*image.shape[:-2], top, -1)
    below = image[..., -1:, :].expand(*image.shape[:-2], bottom, -1)
    image = torch.cat([above, image, below], dim=-2)
    before = image[..., :1].expand(*image.shape[:-1], left)
    after = image[..., -1:].expand(*image.shape[:-1], right)
    return torch.cat([before, image, after], dim=-1)
