"""The U-Net of NAFNet and its Baseline ("Simple Baselines for Image Restoration", arXiv 2204.04676)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from basicsr.layers.local_pool import to_local
from basicsr.layers.normalization import Normalization
from basicsr.layers.padding import Padding, SizeRule, crop_to
from basicsr.layers.weights_facts import WeightsFacts


class RestorationUNet(nn.Module):
    """Image of any size -> restored image. Blocks run at ``width`` channels, doubled at each level down.

    Args:
        block: makes a block of a given number of channels.
        img_channel: channels of the image; the network predicts what to add to them.
        extra_channel: further input channels (a mask, pooled features), concatenated behind the image.
        width: channels at full resolution.
        middle_blk_num: blocks at the lowest resolution.
        enc_blk_nums: blocks of each level on the way down, fine to coarse.
        dec_blk_nums: blocks of each level on the way up, coarse to fine.
        padding: of images whose sides do not fit. None lets the weights say: zeros for published ones, edge
            for networks trained here.

    Attributes:
        image_inputs: sample fields that are concatenated to the first argument of ``forward``.
        takes_labels: whether ``forward`` takes label maps (B, H, W) as second argument.
        size_rule: what sizes run without padding, and how others are padded.
        normalization: of the images that ``forward`` takes; None where nobody has said it.
        local_train_size: ``train_size`` where none is given; the Local variants have one.
    """

    image_inputs: tuple[str, ...] = ("lq",)
    takes_labels: bool = False
    local_train_size: tuple[int, int, int, int] | None = None
    normalization: Normalization | None = None
    # Kept by PyTorch with a state dict; published ones say 1. See `_load_from_state_dict`.
    _version = 2

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
        super().__init__()
        if len(enc_blk_nums) != len(dec_blk_nums):
            raise ValueError(
                f"enc_blk_nums {enc_blk_nums} and dec_blk_nums {dec_blk_nums} need one number a level each"
            )
        self.img_channel = img_channel
        self.intro = nn.Conv2d(img_channel + extra_channel, width, 3, padding=1)
        self.ending = nn.Conv2d(width, img_channel, 3, padding=1)
        self.encoders = nn.ModuleList()
        self.downs = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
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
        self.size_rule = SizeRule(2 ** len(enc_blk_nums), padding or "edge")
        self.padding_is_forced = padding is not None

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel + extra_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        padded = self.size_rule.pad(x)
        return crop_to(self.restore(padded), *x.shape[-2:])

    def restore(self, x: Tensor) -> Tensor:
        """`forward` for sizes that fit `size_rule`; the image comes first among the channels of ``x``."""
        if not torch.compiler.is_compiling():
            # The layout that LayerNorm2d leaves behind: kept everywhere, no block has to convert.
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

    def pool_locally(self, train_size: tuple[int, int, int, int] | None) -> None:
        """Pool over windows of 1.5 times ``train_size`` (TLC); None is `local_train_size`, or global."""
        train_size = train_size or self.local_train_size
        if train_size is not None:
            to_local(self, train_size)

    def weights_facts(self) -> WeightsFacts:
        """See `basicsr.layers.weights_facts.HasWeightsFacts`."""
        return WeightsFacts(padding=self.size_rule.padding)

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        """See `basicsr.layers.weights_facts.HasWeightsFacts`."""
        if self.padding_is_forced:
            reason = "forced by the option padding"
        elif facts is None:
            self._pad_with("zeros")
            reason = "published weights, trained with zeros"
        elif facts.padding is None:
            self._pad_with("edge")
            reason = "written before checkpoints said it"
        else:
            self._pad_with(facts.padding)
            reason = "said by the checkpoint"
        return f"padding {self.size_rule.padding} ({reason})"

    def _pad_with(self, padding: Padding) -> None:
        self.size_rule = replace(self.size_rule, padding=padding)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        if local_metadata.get("version") == 1 and not self.padding_is_forced:
            self._pad_with("zeros")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Zeros of the shapes that ``forward`` takes, batch 1; for tracing, export and measuring."""
        parameter = self.intro.weight
        channels = self.intro.in_channels
        return (torch.zeros(1, channels, height, width, device=parameter.device, dtype=parameter.dtype),)
