"""Inception v3 up to its pooled features, frozen, with weights from a local file.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (CVPR 2016). State-dict keys are
torchvision's. Two networks use them: torchvision's own, and the one behind published FID figures, which was
ported from TensorFlow by the pytorch-fid project. They differ in their weights and in how branches pool.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from basicsr.layers.pretrained import Frozen, read_weights, take_weights
from basicsr.utils.errors import UserError

FEATURES = 2048
SIDE = 299  # pixels, of its input images
# Classes of the last layer, which distinguish the two: TensorFlow's graph has a few that are never used.
_TORCHVISION_CLASSES, _FID_CLASSES = 1000, 1008
KNOWN_WEIGHTS = "pytorch-fid's pt_inception-2015-12-05-6726825d.pth or torchvision's inception_v3"


class _Unit(NamedTuple):
    """A convolution of a block: the name of its input ("" is the input of the block), channels, kernel."""

    after: str
    width: int
    kernel: int | tuple[int, int] = 1
    halves: bool = False


_POOL = "pool"  # instead of a name: the input of the block, pooled
_Units = dict[str, _Unit]


def _mixed_5(pool_width: int) -> _Units:
    return {
        "branch1x1": _Unit("", 64),
        "branch5x5_1": _Unit("", 48),
        "branch5x5_2": _Unit("branch5x5_1", 64, 5),
        "branch3x3dbl_1": _Unit("", 64),
        "branch3x3dbl_2": _Unit("branch3x3dbl_1", 96, 3),
        "branch3x3dbl_3": _Unit("branch3x3dbl_2", 96, 3),
        "branch_pool": _Unit(_POOL, pool_width),
    }


def _mixed_6(width: int) -> _Units:
    return {
        "branch1x1": _Unit("", 192),
        "branch7x7_1": _Unit("", width),
        "branch7x7_2": _Unit("branch7x7_1", width, (1, 7)),
        "branch7x7_3": _Unit("branch7x7_2", 192, (7, 1)),
        "branch7x7dbl_1": _Unit("", width),
        "branch7x7dbl_2": _Unit("branch7x7dbl_1", width, (7, 1)),
        "branch7x7dbl_3": _Unit("branch7x7dbl_2", width, (1, 7)),
        "branch7x7dbl_4": _Unit("branch7x7dbl_3", width, (7, 1)),
        "branch7x7dbl_5": _Unit("branch7x7dbl_4", 192, (1, 7)),
        "branch_pool": _Unit(_POOL, 192),
    }


_MIXED_7: _Units = {
    "branch1x1": _Unit("", 320),
    "branch3x3_1": _Unit("", 384),
    "branch3x3_2a": _Unit("branch3x3_1", 384, (1, 3)),
    "branch3x3_2b": _Unit("branch3x3_1", 384, (3, 1)),
    "branch3x3dbl_1": _Unit("", 448),
    "branch3x3dbl_2": _Unit("branch3x3dbl_1", 384, 3),
    "branch3x3dbl_3a": _Unit("branch3x3dbl_2", 384, (1, 3)),
    "branch3x3dbl_3b": _Unit("branch3x3dbl_2", 384, (3, 1)),
    "branch_pool": _Unit(_POOL, 192),
}
# Blocks that halve height and width; the pooled input is a separate branch.
_TO_MIXED_6: _Units = {
    "branch3x3": _Unit("", 384, 3, halves=True),
    "branch3x3dbl_1": _Unit("", 64),
    "branch3x3dbl_2": _Unit("branch3x3dbl_1", 96, 3),
    "branch3x3dbl_3": _Unit("branch3x3dbl_2", 96, 3, halves=True),
}
_TO_MIXED_7: _Units = {
    "branch3x3_1": _Unit("", 192),
    "branch3x3_2": _Unit("branch3x3_1", 320, 3, halves=True),
    "branch7x7x3_1": _Unit("", 192),
    "branch7x7x3_2": _Unit("branch7x7x3_1", 192, (1, 7)),
    "branch7x7x3_3": _Unit("branch7x7x3_2", 192, (7, 1)),
    "branch7x7x3_4": _Unit("branch7x7x3_3", 192, 3, halves=True),
}
_BLOCKS: dict[str, _Units] = {
    "Mixed_5b": _mixed_5(32),
    "Mixed_5c": _mixed_5(64),
    "Mixed_5d": _mixed_5(64),
    "Mixed_6a": _TO_MIXED_6,
    "Mixed_6b": _mixed_6(128),
    "Mixed_6c": _mixed_6(160),
    "Mixed_6d": _mixed_6(160),
    "Mixed_6e": _mixed_6(192),
    "Mixed_7a": _TO_MIXED_7,
    "Mixed_7b": _MIXED_7,
    "Mixed_7c": _MIXED_7,
}


class InceptionFeatures(Frozen):
    """Images -> the vector in front of the last layer, the mean of the last block over all pixels.

    Args:
        weights: file with the state dict of one of the two networks, which differ in their last layer.

    Attributes:
        is_fid: whether it is the network of published FID figures.

    Raises:
        UserError: if the file is something else.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        state = read_weights(weights, KNOWN_WEIGHTS)
        last = state.get("fc.weight")
        classes = len(last) if isinstance(last, Tensor) else 0
        if classes not in (_TORCHVISION_CLASSES, _FID_CLASSES):
            what = f"has {classes} classes" if classes else "has no 'fc.weight'"
            raise UserError(f"{weights}: {what}; use {KNOWN_WEIGHTS}")
        self.is_fid = classes == _FID_CLASSES
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        channels = 192
        for name, units in _BLOCKS.items():
            block = _Block(channels, units, self._pooling(name))
            self.add_module(name, block)
            channels = block.out_channels
        take_weights(self, state, weights, KNOWN_WEIGHTS)
        self.freeze()

    def _pooling(self, block: str) -> nn.Module:
        """The pooling of the pooled branch of a block."""
        if self.is_fid and block == "Mixed_7c":
            return nn.MaxPool2d(3, stride=1, padding=1)
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=not self.is_fid)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> (B, 2048); images are resized to 299x299 first."""
        resized = interpolate(image, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * resized - 1)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(x, 3, stride=2)))
        x = max_pool2d(x, 3, stride=2)
        for name in _BLOCKS:
            x = self.get_submodule(name)(x)
        features: Tensor = x.mean((2, 3))
        return features


class _Convolution(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.bn(self.conv(x)).relu()
        return activated


class _Block(nn.Module):
    """Parallel branches; the outputs are the units that no other unit takes, in their order."""

    def __init__(self, channels: int, units: _Units, pooling: nn.Module) -> None:
        super().__init__()
        self.units = units
        self.halves = any(unit.halves for unit in units.values())
        self.pooling = nn.MaxPool2d(3, stride=2) if self.halves else pooling
        for name, unit in units.items():
            seen = units[unit.after].width if unit.after in units else channels
            sides = (unit.kernel, unit.kernel) if isinstance(unit.kernel, int) else unit.kernel
            padding = (0, 0) if unit.halves else (sides[0] // 2, sides[1] // 2)
            self.add_module(
                name, _Convolution(seen, unit.width, unit.kernel, 2 if unit.halves else 1, padding)
            )
        inner = {unit.after for unit in units.values()}
        self.ends = [name for name in units if name not in inner]
        pooled = channels if self.halves else 0
        self.out_channels = sum(units[name].width for name in self.ends) + pooled

    def forward(self, x: Tensor) -> Tensor:
        made = {"": x, _POOL: self.pooling(x)}
        for name, unit in self.units.items():
            made[name] = self.get_submodule(name)(made[unit.after])
        ends = [made[name] for name in self.ends]
        return torch.cat([*ends, made[_POOL]] if self.halves else ends, 1)
