"""Mask average pooling in front of any registered network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import torch
from torch import Tensor

from basicsr.archs.base import Block, recognize
from basicsr.archs.shapes import convolution
from basicsr.archs.wrapper import Wrapper, inside
from basicsr.layers.map_unit import MapFeatures, MaskAveragePool
from basicsr.utils.convert import Count, Share
from basicsr.utils.registry import ARCHS, Nested


@ARCHS.register
class WithMAP(Wrapper):
    """Any network with an ``extra_channel`` option, fed by MAP. Keys: ``net.*`` and ``map.*``.

    Args:
        net: block of the inner network, with its ``type``.
        seg_channel: channels of the pooled features.
        mask_dropout: share of the regions that is ignored in each training step.
        mask_value: strength of the masks.
    """

    takes_labels = True

    def __init__(
        self,
        net: Annotated[dict[str, Any], Nested(ARCHS)],
        seg_channel: Count = 2,
        mask_dropout: Share = 0.0,
        mask_value: float = 1.0,
    ) -> None:
        super().__init__(net, seg_channel)
        self.feature_points = tuple(
            replace(point, name=f"net.{point.name}") for point in self.net.feature_points
        )
        self.map = MapFeatures(self.net.img_channel, seg_channel, mask_dropout, mask_value)

    def forward(self, x: Tensor, labels: Tensor, means: Tensor | None = None) -> Tensor:
        """Inputs of the inner network (B, C, H, W) and label maps (B, H, W) -> what that network gives.

        Args:
            means: of the regions, where ``x`` is a part of an image; see `MaskAveragePool`.
        """
        return self.size_rule.crop(self.net(self._with_regions(x, labels, means)), *x.shape[-2:])

    def stages(self, x: Tensor, labels: Tensor, means: Tensor | None = None) -> dict[str, Any]:  # type: ignore[override]
        """Those of the inner network; its image is cropped to the size of ``x``, the others stay."""
        stages = self.net.stages(self._with_regions(x, labels, means))
        return stages | {"restored": self.size_rule.crop(stages["restored"], *x.shape[-2:])}

    def _with_regions(self, x: Tensor, labels: Tensor, means: Tensor | None) -> Tensor:
        padded = self.size_rule.pad(x)
        pooled = self.map(padded[:, : self.img_channel], self.size_rule.pad_labels(labels), means)
        return torch.cat([padded, pooled], dim=1)

    @property
    def region_pool(self) -> MaskAveragePool:
        return self.map.pool

    def region_features(self, image: Tensor) -> Tensor:
        return self.map.features(image[:, : self.img_channel])

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        pooled = convolution(state, "map.pre_seg.weight")
        if extra_channel or not pooled:
            return None
        net = recognize(inside(state), pooled[0])
        return net and {"net": net, "seg_channel": pooled[0]}
