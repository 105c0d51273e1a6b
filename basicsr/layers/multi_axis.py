"""Multi-axis gated MLPs: dense layers over the pixels of blocks, and of a grid over the whole image.

Source: Tu et al., "MAXIM: Multi-Axis MLP for Image Processing" (CVPR 2022), whose gating comes from gMLP (Liu
et al., "Pay Attention to MLPs", NeurIPS 2021). Features are (B, H, W, C).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Axis = Literal["block", "grid"]

_EPS = 1e-6  # of the published networks

# GELU(x) = x (1 + tanh(u)) / 2, 2 u = _GELU_SLOPE (x + _GELU_CUBIC x^3).
_GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715

# Bytes of one tensor on one core; a handful of them are needed at once.
_CACHED_BYTES = 2**19


class PixelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPS)


def grouped(x: Tensor, axis: Axis, size: int) -> Tensor:
    """(B, H, W, C) -> the same values as (B, rows, columns, size, size, C): each group lies along axes 3, 4.

    The groups of ``block`` are the ``size`` x ``size`` pixels of each block of the image: local. For ``grid``
    the image is divided into ``size`` x ``size`` blocks, and a group holds the pixels at the same place in
    each: global.

    Args:
        x: contiguous, H and W multiples of ``size``.
    """
    batch, height, width, channels = x.shape
    rows, columns = height // size, width // size
    if axis == "block":
        return x.view(batch, rows, size, columns, size, channels).transpose(2, 3)
    return x.view(batch, size, rows, size, columns, channels).permute(0, 2, 4, 1, 3, 5)


def map_groups(work: Callable[[Tensor], Tensor], x: Tensor, axis: Axis, size: int) -> Tensor:
    """Apply ``work`` to the groups of ``x`` and put the results back in place.

    Args:
        work: (groups, size * size, C) -> the same shape, each group by itself.
        x: (B, H, W, C), H and W multiples of ``size``.
        axis, size: see `grouped`.
    """
    x = x.contiguous()
    result = torch.empty_like(x)
    groups, places = grouped(x, axis, size), grouped(result, axis, size)
    for rows in strips(groups):
        strip = groups[:, rows]
        worked = work(strip.reshape(-1, size * size, x.shape[-1]))
        places[:, rows] = worked.view(strip.shape)
    return result


def strips(groups: Tensor) -> list[slice]:
    """Rows of groups (B, rows, ..) that are processed together: on a CPU, as many as fit its cache."""
    if not is_plain_inference(groups):
        return [slice(None)]
    bytes_per_row = groups[:, 0].numel() * groups.element_size()
    step = max(1, _CACHED_BYTES * torch.get_num_threads() // bytes_per_row)
    return [slice(start, start + step) for start in range(0, groups.shape[1], step)]


def is_plain_inference(x: Tensor) -> bool:
    """Whether ``x`` is on a CPU, without gradients, and not being compiled or exported."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not traced


class PositionMix(nn.Module):
    """A dense layer over the positions of a group, the same for all channels.

    Args:
        size: side of the groups, see `grouped`.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size * size, size * size)

    def forward(self, x: Tensor, plus: float = 0.0) -> Tensor:
        """(groups, size * size, C) -> the same shape, with ``plus`` added to each value."""
        bias = self.dense.bias + plus if plus else self.dense.bias
        return torch.baddbmm(bias[:, None], self.dense.weight.expand(len(x), -1, -1), x)


class GatedMlp(nn.Module):
    """Residual gMLP in each group: one half of the channels, mixed over positions, gates the other.

    Args:
        channels: of input and output.
        size: side of the groups, see `grouped`.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.project_in = nn.Linear(channels, 2 * channels)
        self.gate_norm = PixelNorm(channels)
        self.gate = PositionMix(size)
        self.project_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(groups, size * size, C) -> the same shape."""
        normed = self.norm(x)
        kept, gate = (gelu(half(normed)) for half in output_halves(self.project_in))
        return self.project_out(self.gate(self.gate_norm(gate), plus=1).mul_(kept)).add_(x)


class MultiAxis(nn.Module):
    """One half of the channels goes through a layer over the grid, the other through one over blocks.

    Args:
        channels: of input and output.
        size: side of the groups, see `grouped`.
        layer: (channels, size) -> the module for a half, (groups, size * size, C) -> the same shape.
    """

    def __init__(self, channels: int, size: int, layer: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.size = size
        self.norm = PixelNorm(channels)
        self.project_in = nn.Linear(channels, 2 * channels)
        self.grid = layer(channels, size)
        self.block = layer(channels, size)
        self.project_out = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C), H and W multiples of ``size``."""
        normed = self.norm(x)
        grid_in, block_in = output_halves(self.project_in)
        grid_out, block_out = input_halves(self.project_out)
        grid = map_groups(lambda part: grid_out(self.grid(gelu(grid_in(part)))), normed, "grid", self.size)
        block = map_groups(
            lambda part: block_out(self.block(gelu(block_in(part)))), normed, "block", self.size
        )
        return grid.add_(block)


class MultiAxisMlp(MultiAxis):
    """Residual multi-axis gated MLP.

    Args:
        channels, size: see `MultiAxis`.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size, GatedMlp)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return super().forward(x).add_(x)


class MultiAxisGate(MultiAxis):
    """The gate of another branch: mixed over the grid and over blocks, not residual.

    Args:
        channels, size: see `MultiAxis`.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size, lambda _, size: PositionMix(size))


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form, as published."""
    if not is_plain_inference(x):
        return nn.functional.gelu(x, approximate="tanh")
    # (1 + tanh(u)) / 2 is sigmoid(2 u), which takes PyTorch a third of the time.
    twice_u = torch.addcmul(x.new_tensor(_GELU_SLOPE), x, x, value=_GELU_SLOPE * _GELU_CUBIC).mul_(x)
    return twice_u.sigmoid_().mul_(x)


# Halves of channels are computed and consumed one by one: as parts of one tensor, each would be copied.


def output_halves(layer: nn.Linear) -> tuple[Dense, Dense]:
    """Two layers that return the first and the second half of the channels of ``layer``."""
    (first, second), (bias, second_bias) = layer.weight.chunk(2), layer.bias.chunk(2)
    return Dense(first, bias), Dense(second, second_bias)


def input_halves(layer: nn.Linear) -> tuple[Dense, Dense]:
    """Two layers for the first and the second half of the input channels of ``layer``; to be added."""
    first, second = layer.weight.chunk(2, dim=1)
    return Dense(first, layer.bias), Dense(second, None)


@dataclass(frozen=True)
class Dense:
    """A dense layer over channels with weights stored elsewhere."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)
