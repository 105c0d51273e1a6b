"""Losses on the images that a network restores at several scales (its stage ``scales``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from basicsr.layers.padding import repeat_edge
from basicsr.layers.pyramid import gaussian_pyramid
from basicsr.losses.pixel import difference
from basicsr.utils.errors import UserError, require_choice
from basicsr.utils.registry import LOSSES

Resize = Literal["area", "bilinear", "antialias", "nearest", "gaussian"]

_INTERPOLATIONS: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "area": partial(functional.interpolate, mode="area"),
    "bilinear": partial(functional.interpolate, mode="bilinear"),
    "antialias": partial(functional.interpolate, mode="bilinear", antialias=True),
    "nearest": partial(functional.interpolate, mode="nearest"),
}


def target_scales(target: Tensor, scales: Sequence[Tensor], resize: Resize) -> list[Tensor]:
    """The targets for the images of a network at several scales.

    Networks pad images that do not fit at the bottom and on the right. There the target repeats its last row
    and column.

    Args:
        target: (B, C, H, W).
        scales: (B, C, H' / 2^k, W' / 2^k) each, finest first; H' >= H and W' >= W.
        resize: see `MultiScaleLoss`.

    Returns:
        Images of the sizes of ``scales``, in float32.
    """
    height, width = scales[0].shape[-2:]
    padded = repeat_edge(target.float(), height - target.shape[-2], width - target.shape[-1])
    if resize == "gaussian":
        return gaussian_pyramid(padded, len(scales))
    shrunk = _INTERPOLATIONS[resize]
    return [padded, *(shrunk(padded, (scale.shape[-2], scale.shape[-1])) for scale in scales[1:])]


class MultiScaleLoss(nn.Module):
    """``loss_weight`` times the weighted sum, over the scales, of the distance between image and target.

    A subclass defines the distance at one scale (`distance`).

    Args:
        loss_weight: factor.
        weights: factors of the scales, finest first; null is 1 each.
        resize: how the target is downscaled: by means over squares (``area``), linear interpolation between
            the 2 x 2 pixels around the center of each new one (``bilinear``) or with a filter as wide as the
            new pixels (``antialias``), by taking every 2^k-th pixel (``nearest``, which TensorFlow 1 calls
            bilinear), or as a Gaussian pyramid (`basicsr.layers.pyramid`).

    Raises:
        ValueError: if ``resize`` is unknown.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        weights: Sequence[Annotated[float, Meta(ge=0)]] | None = None,
        resize: Resize = "area",
    ) -> None:
        super().__init__()
        require_choice("resize", resize, [*_INTERPOLATIONS, "gaussian"])
        self.loss_weight = loss_weight
        self.weights = weights
        self.resize: Resize = resize

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        """The distance of two images (B, C, H, W) of one scale: a scalar."""
        raise NotImplementedError

    def forward(self, scales: Sequence[Tensor], target: Tensor) -> Tensor:
        """Scalar.

        Args:
            scales: images (B, C, H' / 2^k, W' / 2^k) that a network restored, finest first.
            target: (B, C, H, W), of the size before padding.

        Raises:
            UserError: if there is not one weight per scale.
        """
        return self.compare(scales, target_scales(target, scales, self.resize))

    def compare(self, scales: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Like ``forward``, with the target at all scales."""
        weights = [1.0] * len(scales) if self.weights is None else self.weights
        if len(weights) != len(scales):
            what = f"weights: {len(weights)} for {len(scales)} scales"
            raise UserError(f"{type(self).__name__}.{what}; give one per scale, finest first, or null")
        terms = [
            weight * self.distance(pred, target)
            for weight, pred, target in zip(weights, scales, targets, strict=True)
        ]
        return self.loss_weight * torch.stack(terms).sum()


@LOSSES.register
class MultiScaleL1Loss(MultiScaleLoss):
    """Mean absolute difference at each scale (DeepDeblur, MIMO-UNet)."""

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        return difference(pred, target).abs().mean()


@LOSSES.register
class MultiScaleMSELoss(MultiScaleLoss):
    """Mean squared difference at each scale (SRN)."""

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        return difference(pred, target).square().mean()
