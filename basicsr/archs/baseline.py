"""Baseline, the plain network that NAFNet is derived from (arXiv 2204.04676)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.archs.base import Block
from basicsr.archs.shapes import convolution
from basicsr.archs.unet import RestorationUNet, unet_options
from basicsr.layers.local_pool import GlobalAvgPool2d
from basicsr.layers.norm import LayerNorm2d
from basicsr.layers.padding import Padding
from basicsr.utils.convert import Count, Share
from basicsr.utils.registry import ARCHS

ATTENTION = "se.1.weight"  # only these blocks have it


class BaselineBlock(nn.Module):
    """GELU block with squeeze-excitation channel attention.

    Args:
        channels: of input and output.
        dw_expand: widening of the depth-wise half.
        ffn_expand: widening of the feed-forward half.
        drop_out_rate: dropout after each half.
    """

    def __init__(
        self, channels: int, dw_expand: int = 1, ffn_expand: int = 2, drop_out_rate: Share = 0.0
    ) -> None:
        super().__init__()
        wide, fed = channels * dw_expand, channels * ffn_expand
        self.norm1 = LayerNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, wide, 1)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.se = nn.Sequential(
            GlobalAvgPool2d(),
            nn.Conv2d(wide, wide // 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide // 2, wide, 1),
            nn.Sigmoid(),
        )
        self.conv3 = nn.Conv2d(wide, channels, 1)
        self.norm2 = LayerNorm2d(channels)
        self.conv4 = nn.Conv2d(channels, fed, 1)
        self.conv5 = nn.Conv2d(fed, channels, 1)
        self.gelu = nn.GELU()
        self.dropout = nn.Dropout(drop_out_rate)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        mixed = self.gelu(self.conv2(self.conv1(self.norm1(x))))
        mixed = self.conv3(mixed * self.se(mixed))
        y = torch.addcmul(x, self.dropout(mixed), self.beta)
        fed = self.conv5(self.gelu(self.conv4(self.norm2(y))))
        return torch.addcmul(y, self.dropout(fed), self.gamma)


@ARCHS.register
class Baseline(RestorationUNet):
    """Baseline.

    Args:
        img_channel: channels of the image.
        width: channels at full resolution.
        middle_blk_num: blocks at the lowest resolution.
        enc_blk_nums: blocks of each level on the way down.
        dec_blk_nums: blocks of each level on the way up.
        dw_expand: widening of the depth-wise half of a block.
        ffn_expand: widening of the feed-forward half of a block.
        drop_out_rate: dropout inside blocks.
        extra_channel: further input channels after the image.
        train_size: (1, C, H, W) of the training crops, for local pooling (TLC); null pools globally.
        padding: of images whose sides are not multiples of 2^levels: ``edge`` repeats the last row and
            column, ``zeros`` adds black. null follows the weights: zeros for published ones, edge for those
            trained here.
    """

    def __init__(
        self,
        img_channel: Count = 3,
        width: Count = 16,
        middle_blk_num: Annotated[int, Meta(ge=0)] = 1,
        enc_blk_nums: Sequence[int] = (),
        dec_blk_nums: Sequence[int] = (),
        dw_expand: Count = 1,
        ffn_expand: Count = 2,
        drop_out_rate: Share = 0.0,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
        train_size: tuple[Count, Count, Count, Count] | None = None,
        padding: Padding | None = None,
    ) -> None:
        block = partial(
            BaselineBlock, dw_expand=dw_expand, ffn_expand=ffn_expand, drop_out_rate=drop_out_rate
        )
        super().__init__(
            block, img_channel, extra_channel, width, middle_blk_num, enc_blk_nums, dec_blk_nums, padding
        )
        self.localize(train_size)

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        found = unet_options(state, extra_channel)
        attention = next((name for name in state if name.endswith(ATTENTION)), None)
        if found is None or found[1] or attention is None:
            return None
        block = attention.removesuffix(ATTENTION)
        dw, ffn = convolution(state, f"{block}conv1.weight"), convolution(state, f"{block}conv4.weight")
        if not dw or not ffn:
            return None
        return found[0] | {"dw_expand": dw[0] // dw[1], "ffn_expand": ffn[0] // ffn[1]}


@ARCHS.register
class BaselineLocal(Baseline):
    """`Baseline` with local pooling (TLC)."""

    local_train_size = (1, 3, 256, 256)
