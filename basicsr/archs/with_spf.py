"""Semantic priors fusion inside any registered network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from basicsr.archs.base import Block, recognize
from basicsr.archs.wrapper import Wrapper, inside
from basicsr.layers.spf import PriorNorm, RegionPrior, SPFUnit, resize_prior
from basicsr.masks.largest import rank_regions
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS, Nested


@ARCHS.register
class WithSPF(Wrapper):
    """Any network with feature points, with an SPF unit at each. Keys: ``net.*``, ``prior.*``, ``units.*``.

    The second network of SAM-prior distillation (CVPR 2024); see `basicsr.layers.spf`. Alone it is a
    restoration network that takes label maps, as `WithMAP` is.

    Args:
        net: block of the inner network, with its ``type``.
        regions: largest regions that are told apart; the rest counts as one.
        prior_channels: of the prior at the first point.
        norm: of the units, ``none`` or ``instance``.
        residual: units add to the features, starting with nothing; false replaces the features.
        permute: number the regions at random in training, so that the network does not learn their order.
        share: neighbouring points with equal channels and sizes have one unit together (RCDNet's stages).
    """

    takes_labels = True

    def __init__(
        self,
        net: Annotated[dict[str, Any], Nested(ARCHS)],
        regions: Count = 16,
        prior_channels: Count = 32,
        norm: PriorNorm = "none",
        residual: bool = True,
        permute: bool = True,
        share: bool = False,
    ) -> None:
        super().__init__(net)
        points, name = self.net.feature_points, net["type"]
        if not points:
            raise ValueError(f"{name} has no feature points; take another network, or declare some")
        if self.net.takes_labels:
            raise ValueError(f"{name} takes label maps itself; take the network without them")
        self.permute = permute
        self.reduction = points[0].reduction
        self.prior = RegionPrior(regions, prior_channels)
        self.units = nn.ModuleList()
        self.resizes = nn.ModuleList()
        carried = prior_channels
        # Of each point, its unit and what hands the prior on, by their numbers.
        self._places: list[tuple[int, int]] = []
        shared: dict[tuple[int, ...], int] = {}
        for point, after in zip(points, (*points[1:], points[-1]), strict=True):
            kind = (point.channels, point.reduction, carried)
            if not share or kind not in shared:
                shared[kind] = len(self.units)
                self.units.append(SPFUnit(point.channels, carried, norm, residual))
            onward = (*kind, after.reduction)
            if not share or onward not in shared:
                shared[onward] = len(self.resizes)
                if len(self._places) + 1 < len(points):
                    self.resizes.append(resize_prior(point.channels, point.reduction, after.reduction))
            self._places.append((shared[kind], shared[onward]))
            carried = point.channels
        for number, point in enumerate(points):
            self.net.get_submodule(point.name).register_forward_hook(partial(self._fuse, number))
        # of the pass that is running: what the next unit gets
        self._carried: Tensor | None = None

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Inputs of the inner network (B, C, H, W) and label maps (B, H, W) -> what that network gives."""
        return self.size_rule.crop(self.net(self._begun(x, labels)), *x.shape[-2:])

    def stages(self, x: Tensor, labels: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """Those of the inner network; its image is cropped to the size of ``x``, the others stay."""
        stages = self.net.stages(self._begun(x, labels))
        return stages | {"restored": self.size_rule.crop(stages["restored"], *x.shape[-2:])}

    def _begun(self, x: Tensor, labels: Tensor) -> Tensor:
        """Note the prior of the first unit; returns the padded inputs."""
        ranks = rank_regions(self.size_rule.pad_labels(labels), self.prior.regions)
        if self.training and self.permute:
            ranks = _renumbered(ranks, self.prior.regions)
        self._carried = self.prior(ranks, self.reduction)
        return self.size_rule.pad(x)

    def _fuse(self, number: int, module: nn.Module, inputs: Any, features: Tensor) -> Tensor:
        if self._carried is None:
            return features  # the inner network runs alone
        unit, onward = self._places[number]
        fused: Tensor
        fused, prior = self.units[unit](features, self._carried)
        last = number + 1 == len(self._places)
        self._carried = None if last else self.resizes[onward](prior)
        return fused

    @property
    def bytes_per_pixel(self) -> int:
        # beside the features at the finest point: their prior, both blocks, and what is handed on
        point = min(self.net.feature_points, key=lambda point: point.reduction)
        return self.net.bytes_per_pixel + 4 * 6 * point.channels // point.reduction**2

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        columns = state.get("prior.columns.weight")
        if extra_channel or columns is None or columns.ndim != 2:
            return None
        net = recognize(inside(state))
        return net and {
            "net": net,
            "regions": columns.shape[0] - 1,
            "prior_channels": columns.shape[1],
            "residual": "units.0.gamma" in state,
        }


def _renumbered(ranks: Tensor, count: int) -> Tensor:
    """The first ``count`` numbers of each image in another order."""
    order = torch.rand(ranks.shape[0], count, device=ranks.device).argsort(dim=1)
    table = torch.cat([order, order.new_full((ranks.shape[0], 1), count)], dim=1)
    return table.gather(1, ranks.flatten(1)).reshape(ranks.shape)
