"""Fitting images of any size to a network that halves them several times."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class SizeRule:
    """What heights and widths a network takes: multiples of ``multiple_of``."""

    multiple_of: int = 1

    def pad(self, x: Tensor) -> Tensor:
        """Zero-pad the last two dimensions on the right and at the bottom; label maps get 0 = uncovered."""
        height, width = x.shape[-2:]
        bottom = -height % self.multiple_of
        right = -width % self.multiple_of
        return nn.functional.pad(x, (0, right, 0, bottom))


def crop_to(x: Tensor, height: int, width: int) -> Tensor:
    """The top left ``height`` x ``width`` pixels: what `SizeRule.pad` was given."""
    return x[..., :height, :width]
