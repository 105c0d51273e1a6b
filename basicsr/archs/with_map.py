"""Mask average pooling in front of any registered network."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from basicsr.layers.map_unit import MapFeatures, MaskAveragePool
from basicsr.layers.normalization import Normalization
from basicsr.layers.padding import SizeRule, crop_to
from basicsr.layers.weights_facts import HasWeightsFacts, WeightsFacts
from basicsr.utils.convert import Count, Share
from basicsr.utils.registry import ARCHS, Nested, split_type


@ARCHS.register
class WithMAP(nn.Module):
    """Any network with an ``extra_channel`` option, fed by MAP. Keys: ``net.*`` and ``map.*``.

    Args:
        net: block of the inner network, with its ``type``.
        seg_channel: channels of the pooled features.
        mask_dropout: share of the regions that is ignored in each training step.
        mask_value: strength of the masks.
    """

    takes_labels = True
    normalization: Normalization | None = None

    def __init__(
        self,
        net: Annotated[dict[str, Any], Nested(ARCHS)],
        seg_channel: Count = 2,
        mask_dropout: Share = 0.0,
        mask_value: float = 1.0,
    ) -> None:
        super().__init__()
        name, options = split_type(net)
        self.net = ARCHS.build(name, options | {"extra_channel": seg_channel})
        self.image_inputs: tuple[str, ...] = self.net.image_inputs
        self.map = MapFeatures(self.net.img_channel, seg_channel, mask_dropout, mask_value)

    def forward(self, x: Tensor, labels: Tensor, means: Tensor | None = None) -> Tensor:
        """Inputs of the inner network (B, C, H, W) and label maps (B, H, W) -> what that network gives.

        Args:
            means: of the regions, where ``x`` is a part of an image; see `MaskAveragePool`.
        """
        padded = self.size_rule.pad(x)
        pooled = self.map(padded[:, : self.net.img_channel], self.size_rule.pad_labels(labels), means)
        return crop_to(self.net(torch.cat([padded, pooled], dim=1)), *x.shape[-2:])

    @property
    def size_rule(self) -> SizeRule:
        """What sizes run without padding, and how others are padded: as the inner network does it."""
        rule: SizeRule = self.net.size_rule
        return rule

    @property
    def pool(self) -> MaskAveragePool:
        """The pooling itself."""
        return self.map.pool

    def region_features(self, image: Tensor) -> Tensor:
        """Padded inputs (B, C, H, W) -> what is averaged over regions (B, seg_channel, H, W)."""
        return self.map.features(image[:, : self.net.img_channel])

    def weights_facts(self) -> WeightsFacts:
        """Those of the inner network."""
        return self.net.weights_facts() if isinstance(self.net, HasWeightsFacts) else WeightsFacts()

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        """The inner network takes them over."""
        if not isinstance(self.net, HasWeightsFacts):
            return ""
        inner = [name.removeprefix("net.") for name in loaded if name.startswith("net.")]
        return self.net.adopt_weights_facts(facts, inner)

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Zeros of the shapes that ``forward`` takes, batch 1."""
        (x,) = self.net.example_inputs(height, width)
        seg_channel = self.map.pre_seg_in.out_channels
        return x[:, :-seg_channel], torch.zeros(1, height, width, dtype=torch.int32, device=x.device)
