"""Fitting images of any size to a network that halves them several times."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SizeRule:
    """What heights and widths a network takes: multiples of ``multiple_of``."""

    multiple_of: int = 1

    def pad(self, image: Tensor) -> Tensor:
        """Repeat the last column and row of (..., H, W) on the right and at the bottom.

        Not with zeros, as the published networks do it: next to a black strip they overdo the last pixels.
        """
        return repeat_edge(image, *self._missing(image))

    def pad_labels(self, labels: Tensor) -> Tensor:
        """Add label 0 = uncovered to (..., H, W) in the same places: no region's mean changes."""
        bottom, right = self._missing(labels)
        return nn.functional.pad(labels, (0, right, 0, bottom))

    def _missing(self, x: Tensor) -> tuple[int, int]:
        height, width = x.shape[-2:]
        return -height % self.multiple_of, -width % self.multiple_of


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
