"""Losses that compare images pixel by pixel.

Each takes ``pred`` and ``target`` (B, 3, H, W) RGB in [0, 1] and returns a scalar, computed in float32
whatever their type. ``reduction`` is ``mean`` or ``sum``: training needs a scalar, so there is no ``none``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.utils.registry import LOSSES

Reduction = Literal["mean", "sum"]

REDUCTIONS: dict[Reduction, Callable[[Tensor], Tensor]] = {
    "mean": lambda values: values.mean(),
    "sum": lambda values: values.sum(),
}


def require_same_shape(pred: Tensor, target: Tensor) -> None:
    """Raise ValueError where broadcasting would hide a mistake."""
    if pred.shape != target.shape:
        raise ValueError(f"the shapes differ: pred {tuple(pred.shape)}, target {tuple(target.shape)}")


def difference(pred: Tensor, target: Tensor) -> Tensor:
    """``pred - target`` in float32; ValueError when the shapes differ."""
    require_same_shape(pred, target)
    return pred.float() - target.float()


class PixelLoss(nn.Module):
    """``loss_weight`` times the mean or the sum of a penalty on each value's difference."""

    def __init__(self, loss_weight: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.reduce = REDUCTIONS[reduction]

    def penalty(self, difference: Tensor) -> Tensor:
        """The penalty of each value; same shape."""
        raise NotImplementedError

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        return self.loss_weight * self.reduce(self.penalty(difference(pred, target)))


@LOSSES.register
class L1Loss(PixelLoss):
    """Absolute difference."""

    def penalty(self, difference: Tensor) -> Tensor:
        return difference.abs()


@LOSSES.register
class MSELoss(PixelLoss):
    """Squared difference."""

    def penalty(self, difference: Tensor) -> Tensor:
        return difference.square()


@LOSSES.register
class CharbonnierLoss(PixelLoss):
    """sqrt(d^2 + eps), an absolute difference that is smooth at 0."""

    def __init__(
        self,
        loss_weight: float = 1.0,
        reduction: Reduction = "mean",
        eps: Annotated[float, Meta(gt=0)] = 1e-12,
    ) -> None:
        super().__init__(loss_weight, reduction)
        self.eps = eps

    def penalty(self, difference: Tensor) -> Tensor:
        return (difference.square() + self.eps).sqrt()


@LOSSES.register
class PSNRLoss(nn.Module):
    """Negative PSNR in dB: 10 log10(mse of an image + 1e-8), mean over the batch (NAFNet, SAM-Deblur).

    Args:
        loss_weight: factor.
        reduction: only ``mean``; published option files name it.
        toY: compare luma (16..235, divided by 255) instead of RGB.
    """

    luma: Tensor | None

    def __init__(
        self,
        loss_weight: float = 1.0,
        reduction: Literal["mean"] = "mean",
        toY: bool = False,  # noqa: N803 - published option name
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        luma = torch.tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1) / 255
        self.register_buffer("luma", luma if toY else None, persistent=False)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        error = difference(pred, target)
        if self.luma is not None:
            error = (error * self.luma).sum(1, keepdim=True)  # the offset of 16 cancels in the difference
        mse = error.square().mean((1, 2, 3))
        return self.loss_weight * 10 / math.log(10) * (mse + 1e-8).log().mean()
