"""MIMO-UNet (Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", ICCV 2021).

One U-Net takes the image at three scales and restores it at three scales (arXiv 2108.05054).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from basicsr.archs.base import Block, FeaturePoint, RestorationNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.layers.padding import SizeRule
from basicsr.utils.convert import Count, Share
from basicsr.utils.registry import ARCHS

# Residual blocks of a level of MIMO-UNet+; nothing else in its weights tells it from MIMO-UNet.
_PLUS = 20


class ConvLayer(nn.Module):
    """Convolution that keeps the size, or changes it ``stride`` times, and a ReLU.

    Args:
        in_channels, out_channels: of it.
        kernel_size: of a convolution, odd; of a transposed one, even.
        stride: how many times smaller the output is, or larger if ``transposed``.
        relu: whether a ReLU follows.
        transposed: whether it makes the image larger.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        relu: bool = True,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        kind = nn.ConvTranspose2d if transposed else nn.Conv2d
        padding = (kernel_size - 1) // 2
        layers = [kind(in_channels, out_channels, kernel_size, stride, padding)]
        self.main = nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride), or times ``stride``."""
        return self.main(x)


class ResBlock(nn.Module):
    """Two convolutions, the first with a ReLU, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            ConvLayer(channels, channels, 3), ConvLayer(channels, channels, 3, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.main(x)


class ResBlocks(nn.Module):
    """``num_res`` residual blocks: what a level of encoder or decoder consists of."""

    def __init__(self, channels: int, num_res: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(ResBlock(channels) for _ in range(num_res)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.layers(x)


class ShallowFeatures(nn.Module):
    """Features of the image at a coarser scale (SCM of the paper); the image itself is among them."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            ConvLayer(in_channels, channels // 4, 3),
            ConvLayer(channels // 4, channels // 2, 1),
            ConvLayer(channels // 2, channels // 2, 3),
            ConvLayer(channels // 2, channels - in_channels, 1),
        )
        self.conv = ConvLayer(channels, channels, 1, relu=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, H, W)."""
        return self.conv(torch.cat([image, self.main(image)], dim=1))


class FeatureAttention(nn.Module):
    """Adds to the features of the encoder what a convolution makes of their product with others (FAM)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = ConvLayer(channels, channels, 3, relu=False)

    def forward(self, features: Tensor, others: Tensor) -> Tensor:
        """(B, C, H, W) twice -> (B, C, H, W)."""
        return features + self.merge(features * others)


class FeatureFusion(nn.Module):
    """Features of all levels, at the size of one, made those of that level (AFF)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            ConvLayer(in_channels, channels, 1), ConvLayer(channels, channels, 3, relu=False)
        )

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """(B, C_i, H, W) three times -> (B, channels, H, W)."""
        return self.conv(torch.cat([fine, middle, coarse], dim=1))


@ARCHS.register
class MIMOUNet(RestorationNetwork):
    """MIMO-UNet. Images of stage ``scales`` have H, H / 2 and H / 4 rows; only losses want the coarser two.

    Args:
        img_channel: channels of the image.
        width: channels at full resolution.
        num_res: residual blocks of each level of encoder and decoder.
        drop_out_rate: share of the channels that is dropped from the fused features in training.
        extra_channel: further input channels behind the image.

    Raises:
        ValueError: ``width`` is too small for the channels of the input.
    """

    stage_names = ("restored", "scales")
    size_rule = SizeRule(4)

    def __init__(
        self,
        img_channel: Count = 3,
        width: Count = 32,
        num_res: Count = 8,
        drop_out_rate: Share = 0.0,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
    ) -> None:
        super().__init__()
        in_channels = img_channel + extra_channel
        if width < 2 or 2 * width <= in_channels:
            least = max(2, in_channels // 2 + 1)
            raise ValueError(
                f"width {width} is too small for {in_channels} input channels; take {least} or more"
            )
        self.img_channel, self.in_channels, self.width = img_channel, in_channels, width
        middle, coarse = 2 * width, 4 * width
        levels = (width, middle, coarse)
        # Attributes have the names of the published weights.
        self.Encoder = nn.ModuleList(ResBlocks(channels, num_res) for channels in levels)
        self.feat_extract = nn.ModuleList(
            [
                ConvLayer(in_channels, width, 3),
                ConvLayer(width, middle, 3, stride=2),
                ConvLayer(middle, coarse, 3, stride=2),
                ConvLayer(coarse, middle, 4, stride=2, transposed=True),
                ConvLayer(middle, width, 4, stride=2, transposed=True),
                ConvLayer(width, img_channel, 3, relu=False),
            ]
        )
        self.Decoder = nn.ModuleList(ResBlocks(channels, num_res) for channels in reversed(levels))
        self.Convs = nn.ModuleList([ConvLayer(2 * middle, middle, 1), ConvLayer(2 * width, width, 1)])
        self.ConvsOut = nn.ModuleList(
            ConvLayer(channels, img_channel, 3, relu=False) for channels in (coarse, middle)
        )
        self.AFFs = nn.ModuleList(FeatureFusion(sum(levels), channels) for channels in (width, middle))
        self.FAM1 = FeatureAttention(coarse)
        self.SCM1 = ShallowFeatures(in_channels, coarse)
        self.FAM2 = FeatureAttention(middle)
        self.SCM2 = ShallowFeatures(in_channels, middle)
        self.dropout = nn.Dropout2d(drop_out_rate)
        self.feature_points = tuple(
            FeaturePoint(f"Encoder.{level}", channels, 2**level) for level, channels in enumerate(levels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel + extra_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        padded = self.size_rule.pad(x)
        fine, _, _ = self.decode(padded)
        return self.size_rule.crop(self.finest(fine, padded), *x.shape[-2:])

    def stages(self, x: Tensor) -> dict[str, Any]:  # type: ignore[override]
        padded = self.size_rule.pad(x)
        image = padded[:, : self.img_channel]
        fine, middle, coarse = self.decode(padded)
        scales = [
            self.finest(fine, padded),
            self.ConvsOut[1](middle) + image[..., ::2, ::2],
            self.ConvsOut[0](coarse) + image[..., ::4, ::4],
        ]
        return {"restored": self.size_rule.crop(scales[0], *x.shape[-2:]), "scales": scales}

    def finest(self, features: Tensor, padded: Tensor) -> Tensor:
        """The restored image at full resolution.

        Args:
            features: of the decoder there (B, width, H, W).
            padded: the input (B, C, H, W); the image comes first.
        """
        return self.feat_extract[5](features) + padded[:, : self.img_channel]

    def decode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the decoder at full, half and quarter resolution.

        Args:
            x: the input (B, C, H, W), with H and W that fit `size_rule`.
        """
        fine = self.Encoder[0](self.feat_extract[0](x))
        middle = self.feat_extract[1](fine)
        middle = self.Encoder[1](self.FAM2(middle, self.SCM2(x[..., ::2, ::2])))
        coarse = self.feat_extract[2](middle)
        coarse = self.Encoder[2](self.FAM1(coarse, self.SCM1(x[..., ::4, ::4])))

        half = self.dropout(self.AFFs[1](fine[..., ::2, ::2], middle, _larger(coarse, 2)))
        full = self.dropout(self.AFFs[0](fine, _larger(middle, 2), _larger(coarse, 4)))

        coarse = self.Decoder[0](coarse)
        middle = self.Convs[0](torch.cat([self.feat_extract[3](coarse), half], dim=1))
        middle = self.Decoder[1](middle)
        fine = self.Convs[1](torch.cat([self.feat_extract[4](middle), full], dim=1))
        return self.Decoder[2](fine), middle, coarse

    @property
    def input_channels(self) -> int:
        return self.in_channels

    @property
    def bytes_per_pixel(self) -> int:
        # Fusing at full resolution holds features of all levels (7 times the width) about three times.
        return 88 * self.width

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        found = _options(state, extra_channel)
        return found if found is not None and found["num_res"] != _PLUS else None


@ARCHS.register
class MIMOUNetPlus(MIMOUNet):
    """MIMO-UNet+: `MIMOUNet` with more residual blocks, and dropout of fused features.

    Args:
        img_channel, width, num_res, drop_out_rate, extra_channel: as of `MIMOUNet`.
    """

    def __init__(
        self,
        img_channel: Count = 3,
        width: Count = 32,
        num_res: Count = _PLUS,
        drop_out_rate: Share = 0.1,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
    ) -> None:
        super().__init__(img_channel, width, num_res, drop_out_rate, extra_channel)

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        found = _options(state, extra_channel)
        return found if found is not None and found["num_res"] == _PLUS else None


def _larger(features: Tensor, times: int) -> Tensor:
    """Each value ``times`` x ``times`` times."""
    return functional.interpolate(features, scale_factor=times, mode="nearest")


def _options(state: Mapping[str, Tensor], extra_channel: int) -> Block | None:
    """Options of a network with these weights; None where it is neither of the two.

    Args:
        extra_channel: input channels that a network around it adds.
    """
    first = convolution(state, "feat_extract.0.main.0.weight")
    last = convolution(state, "feat_extract.5.main.0.weight")
    if not first or not last or "SCM1.conv.main.0.weight" not in state:
        return None
    # Networks that grew out of this one have further parts in a block.
    if first[1] - last[0] != extra_channel or count_children(state, "Encoder.0.layers.0") != 1:
        return None
    blocks = count_children(state, "Encoder.0.layers")
    return {"img_channel": last[0], "width": first[0], "num_res": blocks}
