"""The U-Net of NAFNet and its Baseline ("Simple Baselines for Image Restoration", arXiv 2204.04676)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from basicsr.archs.base import Block, FeaturePoint
from basicsr.archs.padded import PaddedNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.layers.padding import Padding, SizeRule


class RestorationUNet(PaddedNetwork):
    """Image of any size -> restored image. Blocks run at ``width`` channels, doubled at each level down.

    Args:
        block: makes a block of a given number of channels.
        img_channel: channels of the image; the network predicts what to add to them.
        extra_channel: further input channels (a mask, pooled features), concatenated after the image.
        width: channels at full resolution.
        middle_blk_num: blocks at the lowest resolution.
        enc_blk_nums: blocks of each level on the way down, fine to coarse.
        dec_blk_nums: blocks of each level on the way up, coarse to fine.
        padding: of images whose sides do not fit; see `PaddedNetwork`.
    """

    def __init__(
        self,
        block: Callable[[int], nn.Module],
        img_channel: int,
        extra_channel: int,
        width: int,
        middle_blk_num: int,
        enc_blk_nums: Sequence[int],
        dec_blk_nums: Sequence[int],
        padding: Padding | None = None,
    ) -> None:
        super().__init__(partial(SizeRule, 2 ** len(enc_blk_nums)), padding)
        if len(enc_blk_nums) != len(dec_blk_nums):
            raise ValueError(
                f"enc_blk_nums {enc_blk_nums} and dec_blk_nums {dec_blk_nums} need one number per level each"
            )
        self.img_channel = img_channel
        self.intro = nn.Conv2d(img_channel + extra_channel, width, 3, padding=1)
        self.ending = nn.Conv2d(width, img_channel, 3, padding=1)
        self.encoders = nn.ModuleList()
        self.downs = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        levels = range(len(enc_blk_nums))
        # the features of each level, after its blocks, in the order in which they are computed
        places = [
            *((f"encoders.{level}", level) for level in levels),
            ("middle_blks", len(levels)),
            *((f"decoders.{number}", level) for number, level in enumerate(reversed(levels))),
        ]
        self.feature_points = tuple(FeaturePoint(name, width * 2**level, 2**level) for name, level in places)
        channels = width
        for count in enc_blk_nums:
            self.encoders.append(nn.Sequential(*(block(channels) for _ in range(count))))
            self.downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            channels *= 2
        self.middle_blks = nn.Sequential(*(block(channels) for _ in range(middle_blk_num)))
        for count in dec_blk_nums:
            self.ups.append(
                nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2))
            )
            channels //= 2
            self.decoders.append(nn.Sequential(*(block(channels) for _ in range(count))))

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel + extra_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        padded = self.size_rule.pad(x)
        return self.size_rule.crop(self.restore(padded), *x.shape[-2:])

    def restore(self, x: Tensor) -> Tensor:
        """`forward` for sizes that fit `size_rule`; the image comes first among the channels of ``x``."""
        if not torch.compiler.is_compiling():
            # The layout that LayerNorm2d returns; kept throughout, so no block has to convert.
            x = x.contiguous(memory_format=torch.channels_last)
        features = self.intro(x)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.middle_blks(features)
        for decoder, up, skip in zip(self.decoders, self.ups, reversed(skips), strict=True):
            features = decoder(up(features) + skip)
        return self.ending(features) + x[:, : self.img_channel]

    @property
    def input_channels(self) -> int:
        return self.intro.in_channels

    @classmethod
    def with_pooling(cls, options: Block, local: bool) -> Block | None:
        if not local:
            kinds = [kind for kind in cls.__mro__ if issubclass(kind, RestorationUNet)]
            name = next(kind.__name__ for kind in kinds if kind.local_train_size is None)
            return {"type": name} | {key: value for key, value in options.items() if key != "train_size"}
        if cls.local_train_size is not None or options.get("train_size") is not None:
            return {"type": cls.__name__, **options}
        locals_of = [kind for kind in cls.__subclasses__() if kind.local_train_size is not None]
        return {"type": locals_of[0].__name__, **options} if locals_of else None


def unet_options(state: Mapping[str, Tensor], added: int) -> tuple[Block, int] | None:
    """Widths and blocks of a U-Net with these weights, and how many channels it takes besides the image.

    Args:
        added: further channels from elsewhere in the network, or around it; not counted.

    Returns:
        None if it is not such a network.
    """
    first, last = convolution(state, "intro.weight"), convolution(state, "ending.weight")
    if not first or not last or first[1] - last[0] - added < 0:
        return None
    levels = range(count_children(state, "downs"))
    block: Block = {
        "img_channel": last[0],
        "width": first[0],
        "middle_blk_num": count_children(state, "middle_blks"),
        "enc_blk_nums": [count_children(state, f"encoders.{level}") for level in levels],
        "dec_blk_nums": [count_children(state, f"decoders.{level}") for level in levels],
    }
    return block, first[1] - last[0] - added
