"""Unsharp masking, the classical way to sharpen, to compare networks with."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.gaussian import gaussian_blur
from basicsr.utils.registry import ARCHS


@ARCHS.register
class UnsharpMask(RestorationNetwork):
    """``x + amount * (x - blurred)``. It has no weights.

    Args:
        sigma: of the Gaussian blur, in pixels.
        amount: of the detail that is added.
        img_channel: channels of the image.
    """

    is_fixed = True

    def __init__(
        self,
        sigma: Annotated[float, Meta(gt=0)] = 1.5,
        amount: Annotated[float, Meta(ge=0)] = 1.0,
        img_channel: int = 3,
    ) -> None:
        super().__init__()
        self.sigma, self.amount, self.img_channel = sigma, amount, img_channel

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.amount * (x - gaussian_blur(x, self.sigma))
