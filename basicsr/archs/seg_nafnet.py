"""SegNAFNet: NAFNet fed by mask average pooling ("SAM-Deblur", ICASSP 2024, arXiv 2309.02270)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.archs.base import Block
from basicsr.archs.nafnet import NAFBlock, NAFNet
from basicsr.archs.shapes import convolution
from basicsr.archs.unet import RestorationUNet
from basicsr.layers.map_unit import PUBLISHED_MASK_VALUE, MaskAveragePool
from basicsr.layers.padding import Padding
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.convert import Count, Share
from basicsr.utils.registry import ARCHS


@ARCHS.register
class SegNAFNet(RestorationUNet):
    """NAFNet that sees, beside the image, features averaged over the regions of a label map.

    Args:
        img_channel: channels of the image.
        seg_channel: channels of the pooled features.
        width: channels at full resolution.
        middle_blk_num: blocks at the lowest resolution.
        enc_blk_nums: blocks of each level on the way down.
        dec_blk_nums: blocks of each level on the way up.
        drop_out_rate: dropout inside blocks.
        mask_dropout: share of the regions that is ignored in each training step; 0 is the MAP row, 0.5 the
            Ours row.
        mask_value: strength of the masks. null lets the weights say: 1/255 for published checkpoints, which
            were trained on masks divided by 255, and 1 for networks trained here.
        train_size: (1, C, H, W) of the training crops, for local pooling (TLC); null pools globally.
        padding: of images whose sides are no multiples of 2^levels: ``edge`` repeats the last row and column,
            ``zeros`` adds black. null lets the weights say: zeros for published ones, edge for those trained
            here.
    """

    takes_labels = True

    def __init__(
        self,
        img_channel: Count = 3,
        seg_channel: Count = 3,
        width: Count = 16,
        middle_blk_num: Annotated[int, Meta(ge=0)] = 1,
        enc_blk_nums: Sequence[int] = (),
        dec_blk_nums: Sequence[int] = (),
        drop_out_rate: Share = 0.0,
        mask_dropout: Share = 0.5,
        mask_value: float | None = None,
        train_size: tuple[Count, Count, Count, Count] | None = None,
        padding: Padding | None = None,
    ) -> None:
        block = partial(NAFBlock, drop_out_rate=drop_out_rate)
        super().__init__(
            block, img_channel, seg_channel, width, middle_blk_num, enc_blk_nums, dec_blk_nums, padding
        )
        # Not a MapFeatures module: published checkpoints have these two names at the top level.
        self.pre_seg = nn.Conv2d(img_channel, seg_channel, 3, padding=1)
        self.pre_seg_in = nn.Conv2d(seg_channel, seg_channel, 1)
        self.pool = MaskAveragePool(mask_dropout, 1.0 if mask_value is None else mask_value)
        self.mask_value_is_forced = mask_value is not None
        self.localise(train_size)

    def forward(  # type: ignore[override]
        self, x: Tensor, labels: Tensor, means: Tensor | None = None
    ) -> Tensor:
        """Image (B, img_channel, H, W) and label maps (B, H, W) -> (B, img_channel, H, W), not clamped.

        Args:
            means: of the regions, where ``x`` is a part of an image; see `MaskAveragePool`.
        """
        image = self.size_rule.pad(x)
        regions = self.size_rule.pad_labels(labels)
        pooled = self.pool(self.region_features(image), regions, means)
        return self.size_rule.crop(self.restore(torch.cat([image, pooled], dim=1)), *x.shape[-2:])

    def region_features(self, image: Tensor) -> Tensor:
        """Padded image (B, img_channel, H, W) -> what is averaged over regions (B, seg_channel, H, W)."""
        return self.pre_seg_in(self.pre_seg(image))

    @property
    def region_pool(self) -> MaskAveragePool:
        return self.pool

    @property
    def input_channels(self) -> int:
        return self.img_channel

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        pooled = convolution(state, "pre_seg.weight")
        if extra_channel or not pooled:
            return None
        inner = {name: tensor for name, tensor in state.items() if not name.startswith("pre_seg")}
        options = NAFNet.recognize(inner, pooled[0])
        if options is None or options.pop("mask"):
            return None  # no such network is known
        return options | {"seg_channel": pooled[0]}

    @classmethod
    def completed(cls, options: Block, state: Mapping[str, Tensor]) -> Block:
        # the default of seg_channel was another one once
        pooled = convolution(state, "pre_seg.weight")
        return {"seg_channel": pooled[0], **options} if pooled else options

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        if local_metadata.get("version") == 1 and not self.mask_value_is_forced:
            self.pool.mask_value = PUBLISHED_MASK_VALUE
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def weights_facts(self) -> WeightsFacts:
        return msgspec.structs.replace(super().weights_facts(), mask_value=self.pool.mask_value)

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        summary = super().adopt_weights_facts(facts, loaded)
        if not {"pre_seg.weight", "pre_seg_in.weight"} <= set(loaded):
            return summary  # weights of a network without masks
        if self.mask_value_is_forced:
            reason = "forced by network_g.mask_value"
        elif facts is None:
            self.pool.mask_value = PUBLISHED_MASK_VALUE
            reason = "published weights, trained on masks divided by 255"
        elif facts.mask_value is not None:
            self.pool.mask_value = facts.mask_value
            reason = "from the checkpoint"
        else:
            reason = "the checkpoint does not say"
        return f"mask value {self.pool.mask_value:.6g} ({reason}); {summary}"


@ARCHS.register
class SegNAFNetLocal(SegNAFNet):
    """`SegNAFNet` with local pooling (TLC) inside its blocks; region means stay those of the whole image."""

    local_train_size = (1, 3, 256, 256)
