"""Losses that compare the spectra of images.

Source: Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring" (ICCV 2021), eq. 9.
"""

from __future__ import annotations

import torch
from torch import Tensor

from basicsr.losses.multi_scale import MultiScaleLoss
from basicsr.losses.pixel import ReducedLoss, Reduction, difference
from basicsr.utils.registry import LOSSES


@LOSSES.register
class FrequencyLoss(ReducedLoss):
    """Absolute difference of the Fourier transforms, real and imaginary parts alike.

    The two-dimensional transform of each channel is not normalized, so values grow with the size of the
    image; ``mean`` is over all frequencies and both parts. Computed in float32 whatever the type of the
    images.

    Args:
        loss_weight: factor.
        reduction: over the parts of all frequencies.
    """

    def __init__(self, loss_weight: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(loss_weight, reduction)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Scalar, or (B, C, H, W, 2) with ``reduction: none``.

        Args:
            pred, target: (B, C, H, W).

        Raises:
            ValueError: if the shapes differ.
        """
        return self.loss_weight * self.reduce(spectral_difference(pred, target))


def spectral_difference(pred: Tensor, target: Tensor) -> Tensor:
    """Absolute differences of real and imaginary parts of the transforms (B, C, H, W, 2), in float32.

    Args:
        pred, target: (B, C, H, W).

    Raises:
        ValueError: if the shapes differ.
    """
    # The transform is linear: that of the difference is the difference.
    return torch.view_as_real(torch.fft.fft2(difference(pred, target))).abs()


def spectral_distance(pred: Tensor, target: Tensor) -> Tensor:
    """Mean of `spectral_difference`: a scalar."""
    return spectral_difference(pred, target).mean()


@LOSSES.register
class MultiScaleFrequencyLoss(MultiScaleLoss):
    """`FrequencyLoss` at each scale (MIMO-UNet: ``loss_weight: 0.1`` and ``resize: bilinear``)."""

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        return spectral_distance(pred, target)
