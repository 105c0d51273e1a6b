"""A system of its own: a network with two outputs and batch normalization, and a loss on both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.padding import SizeRule
from basicsr.utils.registry import ARCHS, LOSSES


@ARCHS.register
class TwoOutputs(RestorationNetwork):
    """The restored image, and a coarse one of half its size.

    Args:
        width: channels inside.
    """

    stage_names = ("restored", "coarse")

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.size_rule = SizeRule(multiple_of=2)
        self.first = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.coarse = nn.Conv2d(width, 3, 2, stride=2)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)["restored"]

    def stages(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        padded = self.size_rule.pad(x)
        features = self.first(padded)
        restored = self.size_rule.crop(padded + self.last(features), *x.shape[-2:])
        return {"restored": restored, "coarse": self.coarse(features)}


@LOSSES.register
class StagedLoss(nn.Module):
    """Absolute difference of both outputs.

    Args:
        coarse_weight: factor of the coarse one.
    """

    def __init__(self, coarse_weight: float = 0.5) -> None:
        super().__init__()
        self.coarse_weight = coarse_weight

    def forward(self, restored: Tensor, coarse: Tensor, target: Tensor) -> Tensor:
        fine = (restored - target).abs().mean()
        small = nn.functional.avg_pool2d(target, 2)
        return fine + self.coarse_weight * torch.mean((coarse - small).abs())
