"""Richardson-Lucy deconvolution with a guessed kernel, to compare networks with.

Richardson, "Bayesian-Based Iterative Method of Image Restoration" (JOSA 1972); Lucy, "An iterative technique
for the rectification of observed distributions" (Astronomical Journal 1974).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.gaussian import gaussian_blur
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS

_LEAST = 1e-3  # of what is divided by; images are in [0, 1]


@ARCHS.register
class RichardsonLucy(RestorationNetwork):
    """``u <- u * K(x / K(u))`` from ``u = x``, where K blurs by a Gaussian. It has no weights.

    A Gaussian is its own mirror image, so K also stands for its transpose.

    Args:
        sigma: of the Gaussian that is taken for the blur, in pixels.
        iterations: more of them sharpen more, noise as well.
        img_channel: channels of the image.
    """

    is_fixed = True

    def __init__(
        self, sigma: Annotated[float, Meta(gt=0)] = 1.5, iterations: Count = 10, img_channel: int = 3
    ) -> None:
        super().__init__()
        self.sigma, self.iterations, self.img_channel = sigma, iterations, img_channel

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        seen = x.clamp(min=0)
        restored = seen
        for _ in range(self.iterations):
            ratio = seen / gaussian_blur(restored, self.sigma).clamp(min=_LEAST)
            restored = restored * gaussian_blur(ratio, self.sigma)
        return restored
