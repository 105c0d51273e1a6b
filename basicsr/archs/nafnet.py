"""NAFNet (Chen et al., "Simple Baselines for Image Restoration", ECCV 2022, arXiv 2204.04676)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.archs.base import Block
from basicsr.archs.baseline import ATTENTION
from basicsr.archs.unet import RestorationUNet, unet_options
from basicsr.layers.local_pool import GlobalAvgPool2d
from basicsr.layers.norm import LayerNorm2d
from basicsr.layers.padding import Padding
from basicsr.utils.convert import Count, Share
from basicsr.utils.registry import ARCHS


class SimpleGate(nn.Module):
    """Product of the two halves of the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2C, H, W) -> (B, C, H, W)."""
        left, right = x.chunk(2, dim=1)
        return left * right


class NAFBlock(nn.Module):
    """Block without non-linear activations: gates and simplified channel attention (SCA).

    Args:
        channels: of input and output.
        drop_out_rate: dropout after each of the two halves.
    """

    def __init__(self, channels: int, drop_out_rate: Share = 0.0) -> None:
        super().__init__()
        wide = 2 * channels
        self.norm1 = LayerNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, wide, 1)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.gate = SimpleGate()
        self.sca = nn.Sequential(GlobalAvgPool2d(), nn.Conv2d(channels, channels, 1))
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm2d(channels)
        self.conv4 = nn.Conv2d(channels, wide, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout(drop_out_rate)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        mixed = self.gate(self.conv2(self.conv1(self.norm1(x))))
        mixed = self.conv3(mixed * self.sca(mixed))
        y = torch.addcmul(x, self.dropout(mixed), self.beta)
        fed = self.conv5(self.gate(self.conv4(self.norm2(y))))
        return torch.addcmul(y, self.dropout(fed), self.gamma)


@ARCHS.register
class NAFNet(RestorationUNet):
    """NAFNet. ``mask: true`` concatenates a gray mask channel to the image (the CAT row of SAM-Deblur).

    Args:
        img_channel: channels of the image.
        mask: whether the input has one mask channel after the image.
        width: channels at full resolution.
        middle_blk_num: blocks at the lowest resolution.
        enc_blk_nums: blocks of each level on the way down.
        dec_blk_nums: blocks of each level on the way up.
        drop_out_rate: dropout inside blocks.
        extra_channel: further input channels after these.
        train_size: (1, C, H, W) of the training crops, for local pooling (TLC); null pools globally.
        padding: of images whose sides are not multiples of 2^levels: ``edge`` repeats the last row and
            column, ``zeros`` adds black. null follows the weights: zeros for published ones, edge for those
            trained here.
    """

    def __init__(
        self,
        img_channel: Count = 3,
        mask: bool = False,
        width: Count = 16,
        middle_blk_num: Annotated[int, Meta(ge=0)] = 1,
        enc_blk_nums: Sequence[int] = (),
        dec_blk_nums: Sequence[int] = (),
        drop_out_rate: Share = 0.0,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
        train_size: tuple[Count, Count, Count, Count] | None = None,
        padding: Padding | None = None,
    ) -> None:
        block = partial(NAFBlock, drop_out_rate=drop_out_rate)
        extra_channel += int(mask)
        super().__init__(
            block, img_channel, extra_channel, width, middle_blk_num, enc_blk_nums, dec_blk_nums, padding
        )
        if mask:
            self.image_inputs = ("lq", "mask")
        self.localize(train_size)

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        found = unet_options(state, extra_channel)
        if found is None or found[1] > 1 or "pre_seg.weight" in state:
            return None
        if any(name.endswith(ATTENTION) for name in state):
            return None  # the attention of a Baseline
        return found[0] | {"mask": found[1] == 1}


@ARCHS.register
class NAFNetLocal(NAFNet):
    """`NAFNet` with local pooling (TLC): better on images larger than the training crops; same weights."""

    local_train_size = (1, 3, 256, 256)
