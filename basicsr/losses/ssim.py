"""Structural similarity as a loss.

Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004).
"""

from __future__ import annotations

from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional

from basicsr.losses.pixel import ReducedLoss, Reduction, require_same_shape
from basicsr.utils.convert import Count
from basicsr.utils.registry import LOSSES

_C1, _C2 = 0.01**2, 0.03**2  # for values in [0, 1]


@LOSSES.register
class SSIMLoss(ReducedLoss):
    """Negative SSIM of an image, mean over the batch; -1 for equal images.

    ``pred`` and ``target`` are (B, C, H, W) in [0, 1]. Each channel is smoothed separately, with zeros around
    the image, so values near the border differ from the SSIM metrics. Computed in float32, even under
    autocast. EfficientDerain is trained with `L1Loss` and this loss with ``loss_weight: 0.2``.

    Args:
        loss_weight: factor.
        reduction: over the images of the batch.
        window_size: side of the Gaussian window in pixels, odd.
        sigma: of the Gaussian, in pixels.

    Raises:
        ValueError: if ``window_size`` is even.
    """

    window: Tensor

    def __init__(
        self,
        loss_weight: float = 1.0,
        reduction: Reduction = "mean",
        window_size: Count = 11,
        sigma: Annotated[float, Meta(gt=0)] = 1.5,
    ) -> None:
        super().__init__(loss_weight, reduction)
        if window_size % 2 == 0:
            raise ValueError(f"window_size {window_size} is even; use {window_size + 1}")
        steps = torch.arange(window_size) - window_size // 2
        window = torch.exp(-0.5 * (steps / sigma).square())
        self.register_buffer("window", window / window.sum(), persistent=False)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Scalar, or (B,) with ``reduction: none``.

        Raises:
            ValueError: if the shapes differ.
        """
        require_same_shape(pred, target)
        with torch.autocast(pred.device.type, enabled=False):
            ssim = self._similarity(pred.float(), target.float()).mean((1, 2, 3))
        return self.loss_weight * self.reduce(-ssim)

    def _similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """SSIM of each value (B, C, H, W). Only the sum of the variances is needed."""
        mean_x, mean_y, squares, products = self._smooth(torch.stack([x, y, x * x + y * y, x * y]))
        product, mean_squares = mean_x * mean_y, mean_x.square() + mean_y.square()
        covariance, variances = products - product, squares - mean_squares
        return (2 * product + _C1) * (2 * covariance + _C2) / ((mean_squares + _C1) * (variances + _C2))

    def _smooth(self, images: Tensor) -> Tensor:
        """(.., H, W) -> (.., H, W)."""
        height, width = images.shape[-2:]
        reach = len(self.window) // 2
        planes = images.reshape(-1, 1, height, width)
        planes = functional.conv2d(planes, self.window.view(1, 1, -1, 1), padding=(reach, 0))
        planes = functional.conv2d(planes, self.window.view(1, 1, 1, -1), padding=(0, reach))
        return planes.view(images.shape)
