"""Semantic priors fusion (SPF): fuses features of a network with features of regions.

"Distilling Semantic Priors from SAM to Efficient Image Restoration Models" (CVPR 2024, arXiv 2403.16368),
equation 3 and figure 3. The paper does not specify layers; docs/distillation.md lists which are from the
paper, and which are choices made here.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

PriorNorm = Literal["none", "instance"]


class RegionPrior(nn.Module):
    """Numbered regions -> features of a 1x1 convolution over one plane per region.

    That convolution is a look-up of its columns, so no planes are needed, and a coarser prior is a mean of
    the looked-up features, since both are linear.

    Args:
        regions: planes of numbered regions; one more is for the rest.
        channels: of the features.
    """

    def __init__(self, regions: int, channels: int) -> None:
        super().__init__()
        self.regions = regions
        self.columns = nn.Embedding(regions + 1, channels)

    def forward(self, ranks: Tensor, reduction: int = 1) -> Tensor:
        """Ranks (B, H, W) of `basicsr.masks.largest.rank_regions` -> (B, channels, H / reduction, ..)."""
        prior: Tensor = self.columns(ranks).permute(0, 3, 1, 2)
        return nn.functional.avg_pool2d(prior, reduction) if reduction > 1 else prior


class SPFUnit(nn.Module):
    """Fuses the features at one point with a prior, and passes the result on as the prior of the next point.

    h = two blocks (3x3 convolution, norm, GELU) over both; a = sigmoid(linear(GELU(linear(mean of h)))), the
    semantic selection attention; the features become F + gamma conv1x1(h a) with gamma 0 at first, or h a.

    Args:
        channels: of the features.
        prior_channels: of the prior.
        norm: of the blocks; ``instance`` subtracts the mean of each channel over the image.
        residual: F + gamma conv1x1(h a), so that initially the units change nothing; else h a.
    """

    def __init__(
        self, channels: int, prior_channels: int, norm: PriorNorm = "none", residual: bool = True
    ) -> None:
        super().__init__()
        self.fuse = nn.Sequential(
            *_block(channels + prior_channels, channels, norm), *_block(channels, channels, norm)
        )
        hidden = max(channels // 2, 1)
        self.select = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )
        self.out = nn.Conv2d(channels, channels, 1) if residual else None
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1)) if residual else None

    def forward(self, features: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w), prior (B, C', h, w) -> features and prior (B, C, h, w)."""
        fused = self.fuse(torch.cat([features, prior], dim=1))
        selected = fused * self.select(fused.mean((2, 3)))[:, :, None, None]
        if self.out is None:
            return selected, selected
        return features + self.gamma * self.out(selected), selected


def resize_prior(channels: int, reduction: int, next_reduction: int) -> nn.Module:
    """The layers that adapt a prior at 1/reduction to a point at 1/next_reduction, with as many channels.

    A 1x1 convolution; for each halving a 3x3 one of stride 2; for each doubling one to four times the
    channels and a pixel shuffle.
    """
    steps: list[nn.Module] = []
    while reduction < next_reduction:
        steps.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
        reduction *= 2
    while reduction > next_reduction:
        steps += [nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2)]
        reduction //= 2
    return nn.Sequential(*steps) if steps else nn.Conv2d(channels, channels, 1)


def _block(taken: int, given: int, norm: PriorNorm) -> list[nn.Module]:
    norms: list[nn.Module] = [nn.InstanceNorm2d(given)] if norm == "instance" else []
    return [nn.Conv2d(taken, given, 3, padding=1), *norms, nn.GELU()]
