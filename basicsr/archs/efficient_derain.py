"""EfficientDerain, which filters each pixel with a kernel of its own.

Source: Guo et al., "EfficientDeRain: Learning Pixel-wise Dilation Filtering for High-Efficiency Single-Image
Deraining" (AAAI 2021, arXiv 2009.09238).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from basicsr.archs.base import Block, FeaturePoint, RestorationNetwork
from basicsr.archs.shapes import convolution
from basicsr.layers.padding import SizeRule
from basicsr.layers.pixel_kernels import filter_with_pixel_kernels
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS

DILATIONS = (1, 2, 3, 4)


class ConvBlock(nn.Module):
    """Three convolutions of 3x3, each with a ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels, out_channels):
            layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
        self.conv1 = nn.Sequential(*layers)  # name of the published weights

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return self.conv1(x)


@ARCHS.register
class EfficientDerain(RestorationNetwork):
    """A U-Net that predicts a kernel for each pixel and color; the image, filtered with them, is restored.

    The same kernels are applied at dilations 1 to 4, and a convolution merges the four images.

    Args:
        img_channel: channels of the image.
        width: channels at full resolution, doubled at each of the first three levels down.
        kernel_size: of the predicted kernels, odd.
        extra_channel: further input channels behind the image; only the image is filtered.

    Raises:
        ValueError: ``kernel_size`` is even.
    """

    size_rule = SizeRule(16)

    def __init__(
        self,
        img_channel: Count = 3,
        width: Count = 64,
        kernel_size: Count = 3,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {kernel_size} is even; take {kernel_size + 1}")
        self.img_channel, self.in_channels, self.width = img_channel, img_channel + extra_channel, width
        predicted = img_channel * kernel_size**2
        one, two, four, eight = (width * times for times in (1, 2, 4, 8))
        self.conv1 = ConvBlock(self.in_channels, one)
        self.conv2 = ConvBlock(one, two)
        self.conv3 = ConvBlock(two, four)
        self.conv4 = ConvBlock(four, eight)
        self.conv5 = ConvBlock(eight, eight)
        self.conv6 = ConvBlock(eight + eight, eight)
        self.conv7 = ConvBlock(four + eight, four)
        self.conv8 = ConvBlock(two + four, predicted)
        self.outc = nn.Conv2d(predicted, predicted, 1)
        self.conv_final = nn.Conv2d(len(DILATIONS) * img_channel, img_channel, 3, padding=1)
        points = ((one, 1), (two, 2), (four, 4), (eight, 8), (eight, 16), (eight, 8), (four, 4))
        self.feature_points = tuple(
            FeaturePoint(f"conv{number}", channels, reduction)
            for number, (channels, reduction) in enumerate(points, start=1)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight, gain=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel + extra_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        padded = self.size_rule.pad(x)
        filtered = filter_with_pixel_kernels(padded[:, : self.img_channel], self.kernels(padded), DILATIONS)
        return self.size_rule.crop(self.conv_final(torch.cat(filtered, dim=1)), *x.shape[-2:])

    def kernels(self, x: Tensor) -> Tensor:
        """Kernels (B, img_channel, kernel_size^2, H, W), row by row, for an input that fits `size_rule`."""
        half = self.conv2(functional.avg_pool2d(self.conv1(x), 2))
        quarter = self.conv3(functional.avg_pool2d(half, 2))
        eighth = self.conv4(functional.avg_pool2d(quarter, 2))
        features = self.conv5(functional.avg_pool2d(eighth, 2))
        features = self.conv6(torch.cat([eighth, _doubled(features)], dim=1))
        features = self.conv7(torch.cat([quarter, _doubled(features)], dim=1))
        features = self.conv8(torch.cat([half, _doubled(features)], dim=1))
        return self.outc(_doubled(features)).unflatten(1, (self.img_channel, -1))

    @property
    def input_channels(self) -> int:
        return self.in_channels

    @property
    def bytes_per_pixel(self) -> int:
        # Largest while the first block runs or, with few features, when kernels are enlarged; measured.
        images = (2 + 2 * len(DILATIONS)) * 4 * self.img_channel
        return max(22 * self.width, 12 * self.outc.out_channels) + images

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        first, last = convolution(state, "conv1.conv1.0.weight"), convolution(state, "conv_final.weight")
        predicted = convolution(state, "outc.weight")
        if not first or not last or not predicted or first[1] - last[0] != extra_channel:
            return None
        kernel_size = math.isqrt(predicted[0] // last[0])
        return {"img_channel": last[0], "width": first[0], "kernel_size": kernel_size}


def _doubled(features: Tensor) -> Tensor:
    """Twice as high and wide."""
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
