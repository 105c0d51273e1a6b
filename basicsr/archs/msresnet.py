"""The network of DeepDeblur, as its release for PyTorch has it.

Source: Nah et al., "Deep Multi-scale Convolutional Neural Network for Dynamic Scene Deblurring" (CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.archs.base import Block, FeaturePoint, RestorationNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.layers.padding import SizeRule
from basicsr.layers.pyramid import gaussian_pyramid
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS

# The network works on values of 0 to 255, less their middle.
_RANGE = 255
_MIDDLE = 127.5


class ResBlock(nn.Module):
    """Two convolutions with a ReLU between them, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels), nn.ReLU(), _convolution(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.body(x)


class ScaleNet(nn.Module):
    """The network of one scale.

    Args:
        in_channels: of the image at this scale and what comes with it.
        out_channels: of the restored image.
        width: channels inside.
        blocks: residual blocks.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(in_channels, width),
            *(ResBlock(width) for _ in range(blocks)),
            _convolution(width, out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return self.body(x)


class Upscale(nn.Module):
    """A convolution and pixel shuffle: twice the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.uppath = nn.Sequential(_convolution(channels, 4 * channels), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        return self.uppath(x)


@ARCHS.register
class MSResNet(RestorationNetwork):
    """DeepDeblur: from coarse to fine, a network a scale sees the image and the coarser result, enlarged.

    Args:
        img_channel: channels of the image.
        width: channels of the networks.
        blocks: residual blocks of each network.
        scales: how many networks there are, each for images half as large as those of the one before.
        extra_channel: further input channels behind the image.
    """

    stage_names = ("restored", "scales")

    def __init__(
        self,
        img_channel: Count = 3,
        width: Count = 64,
        blocks: Count = 19,
        scales: Count = 3,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
    ) -> None:
        super().__init__()
        self.img_channel = img_channel
        self.width = width
        self.extra_channel = extra_channel
        self.size_rule = SizeRule(2 ** (scales - 1))
        self.feature_points = tuple(
            FeaturePoint(f"body_models.{scale}.body.{blocks}", width, 2**scale)
            for scale in reversed(range(scales))
        )
        # Both finest first. The coarsest network has no coarser result.
        self.body_models = nn.ModuleList()
        self.conv_end_models = nn.ModuleList([nn.Identity()])
        for scale in range(scales):
            images = 1 if scale == scales - 1 else 2
            self.body_models.append(
                ScaleNet(images * img_channel + extra_channel, img_channel, width, blocks)
            )
            if scale > 0:
                self.conv_end_models.append(Upscale(img_channel))

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel + extra_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        restored: Tensor = self.stages(x)["restored"]
        return restored

    def stages(self, x: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """``restored`` and ``scales``, the image at all scales."""
        scales = self.restore(self.size_rule.pad(x))
        return {"restored": self.size_rule.crop(scales[0], *x.shape[-2:]), "scales": scales}

    def restore(self, x: Tensor) -> list[Tensor]:
        """Images (B, img_channel, H / 2^k, W / 2^k), finest first, for sizes that fit `size_rule`."""
        restored: list[Tensor] = []
        coarser: Tensor | None = None
        levels = gaussian_pyramid(x, len(self.body_models))
        for scale in reversed(range(len(levels))):
            image, extra = (_RANGE * levels[scale]).split([self.img_channel, self.extra_channel], dim=1)
            parts = [image - _MIDDLE]
            if coarser is not None:
                parts.append(self.conv_end_models[scale + 1](coarser))
            coarser = self.body_models[scale](torch.cat([*parts, extra], dim=1))
            restored.insert(0, (coarser + _MIDDLE) / _RANGE)
        return restored

    @property
    def input_channels(self) -> int:
        return self.img_channel + self.extra_channel

    @property
    def bytes_per_pixel(self) -> int:
        # of the finest network, four maps of features in float32, and something to spare
        return 5 * 4 * self.width

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        scales, layers = count_children(state, "body_models"), count_children(state, "body_models.0.body")
        first = convolution(state, f"body_models.{scales - 1}.body.0.weight")
        last = convolution(state, f"body_models.0.body.{layers - 1}.weight")
        if not first or not last or first[1] != last[0] + extra_channel:
            return None
        return {"img_channel": last[0], "width": first[0], "blocks": layers - 2, "scales": scales}


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 5, padding=2)
