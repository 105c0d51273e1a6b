"""RCDNet (Wang et al., "A Model-driven Deep Neural Network for Single Image Rain Removal", CVPR 2020,
arXiv 2005.01333).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from basicsr.archs.base import Block, FeaturePoint, RestorationNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS

# The network computes with values in 0..255; its step sizes and thresholds are of that range.
_RANGE = 255.0
_KERNEL = 9
# Kernels and steps are used at a tenth of what is learned (published).
_SLOWER = 0.1
# How names begin in the second published code, and in the first.
_SIMPLE = {
    "C0": "weight0",
    "C_z": "w_z_f",
    "C": "conv",
    "etaM_S": "eta11",
    "proxNet_B_0.": "xnet.",
    "proxNet_B_S.": "x_stage.",
    "proxNet_M_S.": "m_stage.",
    "proxNet_B_last_layer.": "fxnet.",
}
_LAYER = re.compile(r"layer\.(\d+)\.")


class ProximalBlocks(nn.Module):
    """Residual blocks relu(x + BN(conv(relu(BN(conv(x)))))), a learned proximal operator.

    In evaluation the normalization uses the statistics of training, so that an image is restored alike in
    any batch.

    Args:
        name: children are called ``name1``, ``name2``, ..
        channels: of input and output.
        blocks: number of them.
    """

    def __init__(self, name: str, channels: int, blocks: int) -> None:
        super().__init__()
        for index in range(1, blocks + 1):
            self.add_module(f"{name}{index}", nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels),
            ))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        for block in self.children():
            x = functional.relu(x + block(x))
        return x


class MapNetwork(ProximalBlocks):
    """Proximal operator of the rain maps: blocks, then a threshold for each map.

    Args:
        maps: number of them.
        blocks: number of residual blocks.
    """

    def __init__(self, maps: int, blocks: int) -> None:
        super().__init__("resm", maps, blocks)
        self.tau = nn.Parameter(torch.full((1, maps, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(B, maps, H, W) -> the same, not negative."""
        return functional.relu(super().forward(x) - self.tau)


@ARCHS.register
class RCDNet(RestorationNetwork):
    """RCDNet: an image is a background and rain, a sum of kernels convolved with maps of where it rains.

    Background and maps are found in turns, by unrolled proximal gradient steps. Stages: ``backgrounds``, the
    first guess and that of each step; ``rain_layers``, the rain of each step. Images are in [0, 1] outside
    and in 0..255 inside. Weights of both published codes are loaded: what the first stores several times is
    stored once, and what it never uses is left out. Published PSNR: Rain100L 40.00 dB, Rain100H 31.28 dB.

    Args:
        img_channel: channels of the image.
        num_stages: steps, S in the paper.
        num_maps: rain kernels and their maps, N in the paper.
        num_duals: channels that accompany the background from step to step.
        num_blocks: residual blocks of each proximal operator, T in the paper.
        extra_channel: further input channels behind the image; the first dual channels are made of them too.
    """

    stage_names = ("restored", "backgrounds", "rain_layers")

    def __init__(
        self,
        img_channel: Count = 3,
        num_stages: Annotated[int, Meta(ge=2)] = 17,
        num_maps: Count = 32,
        num_duals: Count = 32,
        num_blocks: Count = 4,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
    ) -> None:
        super().__init__()
        self.img_channel = img_channel
        channels = img_channel + num_duals
        self.eta2 = nn.Parameter(torch.full((1,), 5.0))
        self.eta11 = nn.Parameter(torch.ones(num_stages - 1, 1))
        self.eta12 = nn.Parameter(torch.full((num_stages - 1, 1), 5.0))
        self.tau = nn.Parameter(torch.ones(1))
        kernels = line_kernels(num_maps, _KERNEL).expand(img_channel, -1, -1, -1)
        self.weight0 = nn.Parameter(kernels.clone())
        self.conv = nn.Parameter(kernels.clone())
        self.w_z_f = nn.Parameter(torch.full((num_duals, img_channel + extra_channel, 3, 3), 1 / 9))
        self.xnet = ProximalBlocks("resx", channels, num_blocks)
        self.x_stage = nn.ModuleList(ProximalBlocks("resx", channels, num_blocks) for _ in range(num_stages))
        self.fxnet = ProximalBlocks("resx", channels, num_blocks)
        self.m_stage = nn.ModuleList(MapNetwork(num_maps, num_blocks) for _ in range(num_stages))
        # the dual channels that each step is given
        self.duals = nn.ModuleList(nn.Identity() for _ in range(num_stages))
        self.feature_points = tuple(FeaturePoint(f"duals.{step}", num_duals, 1) for step in range(num_stages))

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel + extra_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        restored = x
        for _, guess in self._guesses(x):
            restored = guess  # and the one before is let go
        return restored

    def stages(self, x: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """``restored``; ``backgrounds``, a list of S + 1; ``rain_layers``, a list of S.

        All are (B, img_channel, H, W), in the range of ``x``.
        """
        found: dict[str, list[Tensor]] = {name: [] for name in self.stage_names}
        for name, guess in self._guesses(x):
            found[name].append(guess)
        return {**found, "restored": found["restored"][0]}

    def _guesses(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each stage's name and image as soon as it is there; ``restored`` comes last."""
        given = _RANGE * x
        image = given[:, : self.img_channel]
        duals = functional.conv2d(given, self.w_z_f, padding=1)
        background, duals = self._proximal(self.xnet, image, duals)
        yield "backgrounds", background / _RANGE
        kernels = _SLOWER * self.conv
        maps = _correlated(functional.relu(image - background - self.tau), _SLOWER * self.weight0)
        etas = torch.cat([self.eta2[None], self.eta12])
        for step, (map_network, network) in enumerate(zip(self.m_stage, self.x_stage, strict=True)):
            maps = map_network(maps)
            rain = functional.conv2d(maps, kernels, padding=_KERNEL // 2)
            yield "rain_layers", rain / _RANGE
            background = background - _SLOWER * etas[step] * (background - (image - rain))
            background, duals = self._proximal(network, background, self.duals[step](duals))
            yield "backgrounds", background / _RANGE
            if step < len(self.eta11):
                uphill = _correlated(rain - (image - background), kernels)
                maps = maps - _SLOWER * self.eta11[step] * uphill
        background, _ = self._proximal(self.fxnet, background, duals)
        yield "restored", background / _RANGE

    def _proximal(self, network: nn.Module, background: Tensor, duals: Tensor) -> tuple[Tensor, Tensor]:
        """Background and dual channels behind a proximal operator of both."""
        both = network(torch.cat([background, duals], dim=1))
        return both[:, : self.img_channel], both[:, self.img_channel :]

    @property
    def input_channels(self) -> int:
        return self.w_z_f.shape[1]

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        state = _renamed(state)
        first, kernels = convolution(state, "w_z_f"), convolution(state, "weight0")
        if not first or not kernels or kernels[2:] != (_KERNEL, _KERNEL):
            return None
        if first[1] - kernels[0] != extra_channel or "fxnet.resx1.0.weight" not in state:
            return None
        return {
            "img_channel": kernels[0],
            "num_stages": count_children(state, "x_stage"),
            "num_maps": kernels[1],
            "num_duals": first[0],
            "num_blocks": count_children(state, "xnet"),
        }

    def adapt_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        adapted = {
            name: tensor
            for name, tensor in _renamed(state).items()
            if name != "eta1" and not name.startswith("mnet.")
        }
        kernels = adapted.get("conv")
        if kernels is not None and kernels.ndim == 5 and len(kernels) > 1:
            adapted["conv"] = kernels[1]  # the published network takes no other
        return adapted


def line_kernels(count: int, side: int) -> Tensor:
    """Streaks of rain: Gaussians that are long in one direction, within 30 degrees of the vertical.

    12 of 32 are thin, the others become wider; in both groups they become longer. As the published ones, for
    which they stand, they are not negative and sum to .14 to 1. Nothing in them is random.

    Returns:
        (count, side, side).
    """
    thin = round(count * 12 / 32)
    kernels = []
    for number in range(count):
        first, last = (0, thin) if number < thin else (thin, count)
        growth = (number - first) / max(last - first - 1, 1)
        angle = math.radians((-30, -15, 0, 15, 30)[number % 5])
        width = 0.5 if number < thin else 0.7 + 0.9 * growth
        length = width + 0.5 + 2.5 * growth
        rows, columns = torch.meshgrid(*2 * [torch.arange(side) - (side - 1) / 2], indexing="ij")
        along = rows * math.cos(angle) + columns * math.sin(angle)
        across = columns * math.cos(angle) - rows * math.sin(angle)
        kernel = (-0.5 * ((along / length).square() + (across / width).square())).exp()
        kernels.append(kernel / kernel.sum() * (0.14 + 0.86 * growth))
    return torch.stack(kernels)


def _correlated(image: Tensor, kernels: Tensor) -> Tensor:
    """Gradient of the sum of maps * kernels with regard to the maps: (B, C, H, W) -> (B, maps, H, W)."""
    return functional.conv_transpose2d(image, kernels, padding=_KERNEL // 2)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the second published code by the names of the first; others as they are."""
    if "C_z" not in state:
        return dict(state)
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name == "etaB_S":
            renamed |= {"eta2": tensor[0], "eta12": tensor[1:]}
            continue
        beginning = next((old for old in _SIMPLE if name.startswith(old)), "")
        own = _SIMPLE.get(beginning, "") + name.removeprefix(beginning)
        if layer := _LAYER.search(own):
            block = f"{'resm' if own.startswith('m_stage') else 'resx'}{int(layer[1]) + 1}."
            own = own.replace(layer[0], block)
        renamed[own] = tensor
    return renamed
