"""Losses on the images that a network with several stages restores, each at several scales.

Source: Tu et al., "MAXIM: Multi-Axis MLP for Image Processing" (CVPR 2022): the sum, over stages and scales,
of the Charbonnier loss and of 0.1 times the absolute difference of the Fourier transforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.losses.frequency import spectral_distance
from basicsr.losses.multi_scale import target_scales
from basicsr.losses.pixel import charbonnier_distance
from basicsr.utils.registry import LOSSES


class MultiStageLoss(nn.Module):
    """``loss_weight`` times the sum of `distance` over all stages and scales.

    The target at a coarse scale is the image resized bilinearly with antialiasing.

    Args:
        loss_weight: factor.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        """Two images (B, C, H, W) -> scalar."""
        raise NotImplementedError

    def forward(self, stage_scales: Sequence[Sequence[Tensor]], target: Tensor) -> Tensor:
        """Scalar.

        Args:
            stage_scales: for each stage, the images (B, C, H / 2^k, W / 2^k), finest first.
            target: (B, C, H, W).

        Raises:
            ValueError: if the size of the finest images differs from the target, e.g. if a network pads them.
        """
        scales = max(stage_scales, key=len)  # the last stage may have only the finest scale
        finest = scales[0].shape[-2:]
        if finest != target.shape[-2:]:
            sizes = f"{tuple(finest)} for targets of {tuple(target.shape[-2:])}"
            raise ValueError(f"the network pads its images: {sizes}; train on crops that need no padding")
        targets = target_scales(target, scales, "antialias")
        terms = [
            self.distance(pred, goal)
            for scales in stage_scales
            for pred, goal in zip(scales, targets, strict=False)
        ]
        return self.loss_weight * torch.stack(terms).sum()


@LOSSES.register
class MultiStageCharbonnierLoss(MultiStageLoss):
    """Mean of sqrt(d^2 + eps^2) at each stage and scale.

    Args:
        loss_weight: factor.
        eps: differences below it are penalized about quadratically.
    """

    def __init__(self, loss_weight: float = 1.0, eps: Annotated[float, Meta(gt=0)] = 1e-3) -> None:
        super().__init__(loss_weight)
        self.eps = eps

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        return charbonnier_distance(pred, target, self.eps)


@LOSSES.register
class MultiStageFrequencyLoss(MultiStageLoss):
    """`basicsr.losses.frequency.FrequencyLoss` at each stage and scale.

    Args:
        loss_weight: factor; 0.1 as published.
    """

    def __init__(self, loss_weight: float = 0.1) -> None:
        super().__init__(loss_weight)

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        return spectral_distance(pred, target)
