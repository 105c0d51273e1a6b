"""The ordering network of HyperCUT.

Pham et al., "HyperCUT: Video Sequence from a Single Blurry Image using Unsupervised Ordering" (CVPR 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from basicsr.archs.base import Block
from basicsr.archs.ordering import OrderingNetwork
from basicsr.archs.shapes import convolution
from basicsr.layers.normalization import IMAGENET
from basicsr.layers.padding import SizeRule
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS

Compat = Literal["published", "mended"]

_LEVELS = 5  # convolutions with stride 2
_STEM = 3 + 2 * _LEVELS  # index of the first residual block; the public weights count these layers
# Below it the reflected borders of the residual blocks are wider than the features.
_SMALLEST = 33


@ARCHS.register
class HyperCUTNet(OrderingNetwork):
    """Two frames become a vector d; on which side of a fixed hyperplane it lies says their order.

    Args:
        out_dim: length of d, and channels of the residual blocks.
        width: channels at full resolution; doubled at each level down until they are ``out_dim``.
        num_blocks: residual blocks.
        compat: what the published weights were trained with, and what is meant. ``published``: the
            activations of the stem pass negative values on unchanged, and the offset b of the plane is added
            to each of its coefficients, h(d) = sum_i d_i (w_i + b). ``mended``: leaky ReLU of slope 0.2, and
            h(d) = w . d + b.
    """

    published_normalization = IMAGENET

    def __init__(
        self,
        out_dim: Count = 128,
        width: Count = 32,
        num_blocks: Count = 6,
        compat: Compat = "mended",
    ) -> None:
        super().__init__()
        self.compat = compat
        self.size_rule = SizeRule(minimum=_SMALLEST)
        self.f_func = _Encoder(out_dim, width, num_blocks, 1.0 if compat == "published" else 0.2)
        self.hyperplane = _Hyperplane(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Pairs of frames (B, 6, H, W), normalised -> scores (B,)."""
        scores: Tensor = self.hyperplane(self.features(x), self.compat)
        return scores

    def features(self, x: Tensor) -> Tensor:
        """Pairs of frames (B, 6, H, W) -> vectors (B, out_dim)."""
        features: Tensor = self.f_func(self.size_rule.pad(x))
        return features

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        first = convolution(state, "f_func.model.1.weight")
        plane = state.get("hyperplane.hyperplane")
        if extra_channel or first[1:] != (6, 7, 7) or plane is None:
            return None
        blocks = {name.split(".")[2] for name in state if ".conv_block." in name}
        sizes: Block = {"out_dim": len(plane) - 1, "width": first[0], "num_blocks": len(blocks)}
        return sizes | {"compat": "published"}


class _Encoder(nn.Module):
    """(B, 6, H, W) -> (B, out_dim)."""

    def __init__(self, out_dim: int, width: int, num_blocks: int, slope: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(6, width, 7), nn.LeakyReLU(slope)]
        for level in range(_LEVELS):
            before = width if level == 0 else min(width * 2**level, out_dim)
            after = min(width * 2 ** (level + 1), out_dim)
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(slope)]
        assert len(layers) == _STEM
        # OrderingLoss has a saddle where all scores are 0. Scores that start small take thousands of steps to
        # leave it, so the stem starts with features as large as frames are.
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=slope)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        self.model = nn.Sequential(*layers, *(_ResidualBlock(after) for _ in range(num_blocks)))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.model(x)
        return features.mean((-2, -1))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class _Hyperplane(nn.Module):
    """Coefficients and offset, drawn once from [-1, 1] and never trained."""

    hyperplane: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("hyperplane", 2 * torch.rand(dimensions + 1) - 1)

    def forward(self, d: Tensor, compat: Compat) -> Tensor:
        normal, offset = self.hyperplane[:-1], self.hyperplane[-1]
        return d @ (normal + offset) if compat == "published" else d @ normal + offset
