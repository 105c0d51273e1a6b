"""The loss of RCDNet (Wang et al., CVPR 2020, arXiv 2005.01333)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from basicsr.losses.pixel import difference
from basicsr.utils.registry import LOSSES


@LOSSES.register
class RCDNetLoss(nn.Module):
    """Weighted sum of the mean squared errors of all stages of `basicsr.archs.rcdnet.RCDNet`.

    Restored image and backgrounds are compared with the target, rain layers with ``lq - target``.

    Args:
        loss_weight: factor of the sum.
        restored_weight: of the restored image.
        background_weight: of each background.
        rain_weight: of each rain layer.
        last_rain_weight: additional weight of the last rain layer.
        value_range: images are compared in 0..``value_range``. 255 is published; 1 makes the loss 65025
            times smaller.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        restored_weight: float = 1.0,
        background_weight: float = 0.1,
        rain_weight: float = 0.1,
        last_rain_weight: float = 0.9,
        value_range: float = 255.0,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.restored_weight = restored_weight
        self.background_weight = background_weight
        self.rain_weight = rain_weight
        self.last_rain_weight = last_rain_weight
        self.value_range = value_range

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        lq: Tensor,
        backgrounds: Sequence[Tensor],
        rain_layers: Sequence[Tensor],
    ) -> Tensor:
        """Scalar; all images are (B, 3, H, W) in [0, 1].

        Args:
            pred: the restored image.
            target: without rain.
            lq: with rain.
            backgrounds, rain_layers: of each step, in order.

        Raises:
            ValueError: if the shapes differ.
        """
        rain = difference(lq, target)
        rains = [self._error(layer, rain) for layer in rain_layers]
        total = (
            self.restored_weight * self._error(pred, target)
            + self.background_weight
            * torch.stack([self._error(image, target) for image in backgrounds]).sum()
            + self.rain_weight * torch.stack(rains).sum()
            + self.last_rain_weight * rains[-1]
        )
        return self.loss_weight * total

    def _error(self, pred: Tensor, target: Tensor) -> Tensor:
        return (self.value_range * difference(pred, target)).square().mean()
