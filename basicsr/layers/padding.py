"""Fitting images of any size to a network that halves them several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Padding = Literal["edge", "zeros"]


@dataclass(frozen=True)
class SizeRule:
    """What heights and widths a network takes, and how images of others are made to fit.

    Args:
        multiple_of: heights and widths are multiples of it.
        minimum: smallest height and width.
        square: whether height and width have to be the same.
        padding: what is added on the right and at the bottom. ``edge`` repeats the last column and row, so
            that networks trained here see no black strip, beside which they would overdo the last pixels.
            ``zeros`` adds zeros, as published networks were trained and judged with.
    """

    multiple_of: int = 1
    padding: Padding = "edge"
    minimum: int = 1
    square: bool = False

    def missing(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that an image of this size lacks."""
        if self.minimum == 1 and not self.square:
            return -height % self.multiple_of, -width % self.multiple_of
        wanted = [self._next(max(length, self.minimum)) for length in (height, width)]
        if self.square:
            wanted = [max(wanted)] * 2
        return wanted[0] - height, wanted[1] - width

    def _next(self, length: int) -> int:
        return length + -length % self.multiple_of

    def pad(self, image: Tensor) -> Tensor:
        """Add to (..., H, W) the rows and columns that it lacks."""
        return self.extend(image, *self.missing(*image.shape[-2:]))

    def extend(self, image: Tensor, bottom: int, right: int) -> Tensor:
        """Add ``bottom`` rows and ``right`` columns to (..., H, W)."""
        match self.padding:
            case "edge":
                return repeat_edge(image, bottom, right)
            case "zeros":
                return nn.functional.pad(image, (0, right, 0, bottom))

    def pad_labels(self, labels: Tensor) -> Tensor:
        """Add label 0 = uncovered to (..., H, W) in the same places: no region's mean changes."""
        bottom, right = self.missing(*labels.shape[-2:])
        return nn.functional.pad(labels, (0, right, 0, bottom))


def repeat_edge(image: Tensor, bottom: int, right: int, top: int = 0, left: int = 0) -> Tensor:
    """(..., H, W) with the first and last row ``top`` and ``bottom`` times more, columns likewise."""
    # Concatenated, since PyTorch's replicating pad has no deterministic gradient on CUDA, and none at all
    # under torch.compile on the CPU.
    above = image[..., :1, :].expand(*image.shape[:-2], top, -1)
    below = image[..., -1:, :].expand(*image.shape[:-2], bottom, -1)
    image = torch.cat([above, image, below], dim=-2)
    before = image[..., :1].expand(*image.shape[:-1], left)
    after = image[..., -1:].expand(*image.shape[:-1], right)
    return torch.cat([before, image, after], dim=-1)


def crop_to(x: Tensor, height: int, width: int) -> Tensor:
    """The top left ``height`` x ``width`` pixels: what `SizeRule.pad` was given."""
    return x[..., :height, :width]
