"""Losses that compare images pixel by pixel.

Each takes ``pred`` and ``target`` (B, 3, H, W) RGB in [0, 1], and optionally ``weight``, and computes in
float32 whatever their type. ``weight`` multiplies the penalty of each value before the reduction: ``mean`` is
sum(weight * penalty) / number of values, whatever the weights add up to, so doubled weights double the loss.
``reduction: none`` returns the weighted penalties themselves. It is for Python code only: training needs a
scalar, so option files accept ``mean`` and ``sum``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.utils.convert import NotInFiles
from basicsr.utils.errors import require_choice
from basicsr.utils.registry import LOSSES

Reduction = Annotated[
    Literal["mean", "sum", "none"], NotInFiles("none", "training needs a scalar; use mean or sum")
]

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda values: values.mean(),
    "sum": lambda values: values.sum(),
    "none": lambda values: values,
}


def require_same_shape(pred: Tensor, target: Tensor) -> None:
    """Raise ValueError where broadcasting would hide a mistake."""
    if pred.shape != target.shape:
        raise ValueError(f"the shapes differ: pred {tuple(pred.shape)}, target {tuple(target.shape)}")


def difference(pred: Tensor, target: Tensor) -> Tensor:
    """``pred - target`` in float32; ValueError if the shapes differ."""
    require_same_shape(pred, target)
    return pred.float() - target.float()


def charbonnier_distance(pred: Tensor, target: Tensor, eps: float) -> Tensor:
    """Mean of sqrt(d^2 + eps^2), in float32: a scalar; ValueError if the shapes differ."""
    return (difference(pred, target).square() + eps**2).sqrt().mean()


def weighted(penalty: Tensor, weight: Tensor | None) -> Tensor:
    """``weight * penalty``, with the shape and type of ``penalty``; None weights all values equally.

    Raises:
        ValueError: if ``weight`` does not broadcast to that shape.
    """
    if weight is None:
        return penalty
    try:
        fits = torch.broadcast_shapes(weight.shape, penalty.shape) == penalty.shape
    except RuntimeError:
        fits = False
    if not fits:
        shapes = f"weight {tuple(weight.shape)}, the compared values {tuple(penalty.shape)}"
        raise ValueError(f"the weight does not broadcast to what it weighs: {shapes}")
    return penalty * weight.to(penalty.dtype)


class ReducedLoss(nn.Module):
    """``loss_weight`` times the mean or the sum of values, or the values themselves.

    Args:
        loss_weight: factor.
        reduction: ``mean``, ``sum`` or ``none``.

    Raises:
        ValueError: if ``reduction`` is unknown.
    """

    def __init__(self, loss_weight: float, reduction: str) -> None:
        super().__init__()
        require_choice("reduction", reduction, REDUCTIONS)
        self.loss_weight = loss_weight
        self.reduce = REDUCTIONS[reduction]


class PixelLoss(ReducedLoss):
    """A penalty on the difference of each value."""

    def __init__(self, loss_weight: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(loss_weight, reduction)

    def penalty(self, difference: Tensor) -> Tensor:
        """The penalty of each value; same shape."""
        raise NotImplementedError

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Scalar, or (B, 3, H, W) for ``reduction: none``.

        Args:
            pred, target: (B, 3, H, W).
            weight: broadcasts to their shape, e.g. (B, 1, H, W).

        Raises:
            ValueError: if the shapes do not fit.
        """
        penalty = self.penalty(difference(pred, target))
        return self.loss_weight * self.reduce(weighted(penalty, weight))


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
class SmoothL1Loss(PixelLoss):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2."""

    def __init__(
        self,
        loss_weight: float = 1.0,
        reduction: Reduction = "mean",
        beta: Annotated[float, Meta(gt=0)] = 1.0,
    ) -> None:
        super().__init__(loss_weight, reduction)
        self.beta = beta

    def penalty(self, difference: Tensor) -> Tensor:
        zeros = torch.zeros_like(difference)
        return nn.functional.smooth_l1_loss(difference, zeros, reduction="none", beta=self.beta)


@LOSSES.register
class CharbonnierLoss(PixelLoss):
    """sqrt(d^2 + eps), an absolute difference that is smooth at 0.

    Others write sqrt(d^2 + eps^2), where eps is the square root of this one: Uformer's 1e-3 is ``eps: 1e-6``
    here.

    Args:
        loss_weight: factor.
        reduction: over all values.
        eps: added inside the root.
    """

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
class PSNRLoss(ReducedLoss):
    """Negative PSNR in dB: 10 log10(mse of an image + 1e-8), mean over the batch (NAFNet, SAM-Deblur).

    Args:
        loss_weight: factor.
        reduction: over the images of the batch; published option files name ``mean``.
        toY: compare luma (16..235, divided by 255) instead of RGB.
    """

    luma: Tensor | None

    def __init__(
        self,
        loss_weight: float = 1.0,
        reduction: Reduction = "mean",
        toY: bool = False,  # noqa: N803 - published option name
    ) -> None:
        super().__init__(loss_weight, reduction)
        luma = torch.tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1) / 255
        self.register_buffer("luma", luma if toY else None, persistent=False)

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Scalar, or (B,) with ``reduction: none``.

        Args:
            pred, target: (B, 3, H, W).
            weight: of the squared errors; broadcasts to (B, 3, H, W), with ``toY`` to (B, 1, H, W).

        Raises:
            ValueError: if the shapes do not fit.
        """
        error = difference(pred, target)
        if self.luma is not None:
            error = (error * self.luma).sum(1, keepdim=True)  # the offset of 16 cancels in the difference
        mse = weighted(error.square(), weight).mean((1, 2, 3))
        return self.loss_weight * 10 / math.log(10) * self.reduce((mse + 1e-8).log())
