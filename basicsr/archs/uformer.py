"""Uformer (Wang et al., "Uformer: A General U-Shaped Transformer for Image Restoration", CVPR 2022,
arXiv 2106.03106).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from basicsr.archs.base import Block, FeaturePoint
from basicsr.archs.padded import PaddedNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.layers.drop_path import DropPath
from basicsr.layers.padding import Padding, SizeRule
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.convert import Count, Share
from basicsr.utils.registry import ARCHS

_LEVELS = 4
# Stages from the input to the output. Of each: its heads, and its channels in multiples of `embed_dim`; how
# many times smaller than the image it is.
_STAGES = (
    *(f"encoderlayer_{level}" for level in range(_LEVELS)),
    "conv",
    *(f"decoderlayer_{level}" for level in range(_LEVELS)),
)
_HEADS = (1, 2, 4, 8, 16, 16, 8, 4, 2)
_REDUCTIONS = (1, 2, 4, 8, 16, 8, 4, 2, 1)
# Added to the attention between pixels that should not see each other (published).
_APART = -100.0


class WindowAttention(nn.Module):
    """Attention among the pixels of a window, with a learned bias for each offset of two pixels.

    Args:
        channels: of input and output.
        heads: that share them.
        win_size: side of a window.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, win_size: int) -> None:
        super().__init__()
        self.heads = heads
        offsets = 2 * win_size - 1
        self.relative_position_bias_table = nn.Parameter(torch.empty(offsets**2, heads))
        self.qkv = nn.ModuleDict(
            {"to_q": nn.Linear(channels, channels), "to_kv": nn.Linear(channels, 2 * channels)}
        )
        self.proj = nn.Linear(channels, channels)
        nn.init.normal_(self.relative_position_bias_table, std=0.02)
        grid = torch.arange(win_size)
        rows, columns = grid.repeat_interleave(win_size), grid.repeat(win_size)
        down, across = (places[:, None] - places + win_size - 1 for places in (rows, columns))
        self.register_buffer("relative_position_index", down * offsets + across, persistent=False)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """(B, windows, pixels, C) -> the same.

        Args:
            mask: (windows, 1, pixels, pixels), added to the attention; None adds nothing.
        """
        batch, count, pixels, channels = windows.shape
        layers = (self.qkv["to_q"], self.qkv["to_kv"])
        weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
        mixed = functional.linear(windows, weight, bias)
        query, key, value = mixed.view(batch * count, pixels, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        added = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if mask is not None:
            added = (added + mask).expand(batch, -1, -1, -1, -1).flatten(0, 1)
        attended = functional.scaled_dot_product_attention(query, key, value, added.to(query.dtype))
        # A copy puts the heads side by side: a view that fits one layout is wrong in that of the exporter.
        together = torch.cat(attended.unbind(1), dim=-1).view(batch, count, pixels, channels)
        projected: Tensor = self.proj(together)
        return projected


class LocallyEnhancedFeedForward(nn.Module):
    """LeFF: more channels, a depth-wise convolution among neighboring pixels, the channels of before.

    Args:
        channels: of input and output.
        wide: channels in between.
    """

    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.linear1 = nn.Sequential(nn.Linear(channels, wide), nn.GELU())
        self.dwconv = nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.GELU())
        self.linear2 = nn.Sequential(nn.Linear(wide, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        neighbors = self.dwconv(self.linear1(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        fed: Tensor = self.linear2(neighbors)
        return fed


class LeWinBlock(nn.Module):
    """Window attention, then LeFF; each adds to its input.

    Args:
        channels: of input and output.
        heads: of the attention.
        win_size: side of a window.
        mlp_ratio: widening inside LeFF.
        modulator: whether a learned value is added to each pixel of every window.
        drop_path: rate of stochastic depth.

    Attributes:
        shift: how far windows are moved down and to the right, in pixels.
    """

    def __init__(
        self, channels: int, heads: int, win_size: int, mlp_ratio: int, modulator: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.win_size = win_size
        self.shift = 0
        self.modulator = nn.Embedding(win_size**2, channels) if modulator else None
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, win_size)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = LocallyEnhancedFeedForward(channels, channels * mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C).

        Args:
            mask: see `shift_mask`; used where windows are shifted.
        """
        x = x + self.drop_path(self._attended(self.norm1(x), mask))
        fed: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return fed

    def _attended(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        windows = to_windows(x, self.win_size)
        if self.modulator is not None:
            windows = windows + self.modulator.weight
        attended = from_windows(self.attn(windows, mask if self.shift else None), self.win_size, x.shape)
        return attended.roll((self.shift, self.shift), (1, 2)) if self.shift else attended


class Stage(nn.Module):
    """Blocks of one resolution; every other one shifts its windows by half their side.

    Args:
        channels, heads, win_size, mlp_ratio, modulator: as of `LeWinBlock`.
        drop_paths: rates of stochastic depth, one a block.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        win_size: int,
        mlp_ratio: int,
        modulator: bool,
        drop_paths: Sequence[float],
    ) -> None:
        super().__init__()
        self.win_size = win_size
        self.blocks = nn.ModuleList(
            LeWinBlock(channels, heads, win_size, mlp_ratio, modulator, rate) for rate in drop_paths
        )
        self.shift_windows(True)

    def shift_windows(self, shifted: bool) -> None:
        """Shift the windows of every other block, or of none."""
        for block in list(self.blocks)[1::2]:
            assert isinstance(block, LeWinBlock)
            block.shift = self.win_size // 2 if shifted else 0

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), sides multiples of ``win_size`` -> the same."""
        x = x.permute(0, 2, 3, 1)
        mask = shift_mask(x, self.win_size) if any(block.shift for block in self.blocks) else None
        for block in self.blocks:
            x = block(x, mask)
        return x.permute(0, 3, 1, 2)


def to_windows(x: Tensor, win_size: int) -> Tensor:
    """(B, H, W, C) -> (B, windows, pixels of a window, C), both row by row."""
    batch, height, width, channels = x.shape
    cut = x.reshape(batch, height // win_size, win_size, width // win_size, win_size, channels)
    return cut.transpose(2, 3).reshape(batch, -1, win_size**2, channels)


def from_windows(windows: Tensor, win_size: int, size: Sequence[int]) -> Tensor:
    """Undo `to_windows`.

    Args:
        size: (B, H, W, C) of the result.
    """
    batch, height, width, channels = size
    cut = windows.reshape(batch, height // win_size, width // win_size, win_size, win_size, channels)
    return cut.transpose(2, 3).reshape(batch, height, width, channels)


def shift_mask(x: Tensor, win_size: int) -> Tensor:
    """What keeps pixels of opposite borders apart in windows that are shifted by half their side.

    Of such windows those in the last row and column hold pixels of both borders.

    Args:
        x: (B, H, W, C), which is cut into windows.

    Returns:
        (windows, 1, pixels, pixels) for `WindowAttention`: -100 where two pixels are of different borders.
    """

    def is_beyond(length: int) -> Tensor:
        """(windows, pixels) along one side: whether the pixel comes from the other border."""
        windows = torch.arange(length // win_size, device=x.device)
        pixels = torch.arange(win_size, device=x.device)
        return (windows == length // win_size - 1)[:, None] & (pixels >= win_size - win_size // 2)

    down, across = (is_beyond(length).long() for length in x.shape[1:3])
    border = (2 * down[:, None, :, None] + across[None, :, None, :]).reshape(-1, 1, win_size**2)
    return _APART * (border[..., None] != border[..., None, :]).to(x.dtype)


@ARCHS.register
class Uformer(PaddedNetwork):
    """Uformer-T by default. Uformer-S has ``embed_dim: 32``, and Uformer-B, besides that,
    ``depths: [1, 2, 8, 8, 2, 8, 8, 2, 1]``. Published PSNR of Uformer-B: GoPro 33.06 dB, SIDD 39.89 dB.

    Args:
        img_channel: channels of the image.
        embed_dim: channels at full resolution, and of each head of the attention.
        depths: blocks of the four levels on the way down, the bottleneck, and the four levels on the way up.
        win_size: side of the windows that attention sees, in pixels of a level.
        mlp_ratio: widening inside the feed-forward half of a block.
        modulator: whether the windows on the way up have a learned value for each of their pixels.
        drop_path: rate of stochastic depth in the bottleneck; it rises to it from 0 on the way down, and
            falls to 0 on the way up.
        extra_channel: further input channels behind the image.
        padding: of images whose sides are no multiples of 16 windows, 128 pixels: ``edge`` repeats the last
            row and column; ``zeros`` adds black all around up to a square, as published networks were judged.
            null lets the weights say: zeros for published ones, edge for those trained here.
        shift_bottleneck: whether the bottleneck, too, shifts the windows of every other block. The published
            code does where it is built for crops of more than 128 pixels; with 128 the bottleneck is a single
            window. The published weights for GoPro were trained with 256 and judged by a script that builds
            for 128. null lets the weights say: false for published ones, as they were judged, true for those
            trained here; crops of 128 pixels or less are better trained with false.

    Raises:
        ValueError: ``depths`` has not nine numbers.
    """

    conv: Stage

    def __init__(
        self,
        img_channel: Count = 3,
        embed_dim: Count = 16,
        depths: Sequence[Count] = (2, 2, 2, 2, 2, 2, 2, 2, 2),
        win_size: Annotated[int, Meta(ge=2)] = 8,
        mlp_ratio: Count = 4,
        modulator: bool = True,
        drop_path: Share = 0.1,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
        padding: Padding | None = None,
        shift_bottleneck: bool | None = None,
    ) -> None:
        if len(depths) != len(_STAGES):
            raise ValueError(f"depths {list(depths)} needs a number for each of the {len(_STAGES)} stages")
        super().__init__(partial(_size_rule, win_size * _REDUCTIONS[_LEVELS]), padding)
        self.img_channel = img_channel
        widths = [embed_dim * heads for heads in _HEADS]
        first = nn.Conv2d(img_channel + extra_channel, embed_dim, 3, padding=1)
        self.input_proj = _named("proj", first, nn.LeakyReLU(inplace=True))
        for level, (fine, coarse) in enumerate(pairwise(widths[: _LEVELS + 1])):
            down = nn.Conv2d(fine, coarse, 4, stride=2, padding=1)
            self.add_module(f"dowsample_{level}", _named("conv", down))  # spelled as published
        for level, coarse in enumerate(widths[_LEVELS:-1]):
            up = nn.ConvTranspose2d(coarse, widths[_LEVELS - 1 - level], 2, stride=2)
            self.add_module(f"upsample_{level}", _named("deconv", up))
        self.output_proj = _named("proj", nn.Conv2d(widths[-1], img_channel, 3, padding=1))
        rates = iter(_drop_paths(depths, drop_path))
        for name, width, heads, depth in zip(_STAGES, widths, _HEADS, depths, strict=True):
            modulated = modulator and name.startswith("decoder")
            stage = Stage(width, heads, win_size, mlp_ratio, modulated, list(islice(rates, depth)))
            self.add_module(name, stage)
        self.feature_points = tuple(map(FeaturePoint, _STAGES, widths, _REDUCTIONS))
        self.apply(_initialize)
        self.shift_is_forced = shift_bottleneck is not None
        self._shift_bottleneck(shift_bottleneck is not False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel + extra_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        padded = self.size_rule.pad(x)
        return self.size_rule.crop(self.restore(padded), *x.shape[-2:])

    def restore(self, x: Tensor) -> Tensor:
        """`forward` for sizes that fit `size_rule`; the image comes first among the channels of ``x``."""
        if not torch.compiler.is_compiling():
            # The layout that blocks compute in: kept everywhere, no stage has to convert.
            x = x.contiguous(memory_format=torch.channels_last)
        features = self.input_proj(x)
        skips = []
        for level in range(_LEVELS):
            features = self.get_submodule(f"encoderlayer_{level}")(features)
            skips.append(features)
            features = self.get_submodule(f"dowsample_{level}")(features)
        features = self.conv(features)
        for level in range(_LEVELS):
            features = self.get_submodule(f"upsample_{level}")(features)
            features = torch.cat([features, skips.pop()], dim=1)
            features = self.get_submodule(f"decoderlayer_{level}")(features)
        restored: Tensor = self.output_proj(features) + x[:, : self.img_channel]
        return restored

    @property
    def input_channels(self) -> int:
        first = self.get_submodule("input_proj.proj.0")
        assert isinstance(first, nn.Conv2d)
        return first.in_channels

    @property
    def bytes_per_pixel(self) -> int:
        # Measured for an embed_dim of 8 to 32: attention between pixels, and the widened channels of LeFF.
        return 1500 + 110 * self.feature_points[0].channels

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        first, last = (convolution(state, f"{end}_proj.proj.0.weight") for end in ("input", "output"))
        block = "encoderlayer_0.blocks.0"
        names = ("attn.relative_position_bias_table", "attn.qkv.to_kv.weight", "mlp.linear1.0.weight")
        table, projection, wide = (state.get(f"{block}.{name}") for name in names)
        if not first or not last or table is None or projection is None or wide is None:
            return None
        if first[1] - last[0] != extra_channel:
            return None
        return {
            "img_channel": last[0],
            "embed_dim": first[0],
            "depths": [count_children(state, f"{name}.blocks") for name in _STAGES],
            "win_size": (math.isqrt(len(table)) + 1) // 2,
            "mlp_ratio": wide.shape[0] // wide.shape[1],
            "modulator": "decoderlayer_0.blocks.0.modulator.weight" in state,
        }

    def adapt_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {
            name: tensor for name, tensor in state.items() if not name.endswith("relative_position_index")
        }

    def weights_facts(self) -> WeightsFacts:
        return msgspec.structs.replace(super().weights_facts(), shift_bottleneck=self.shifts_bottleneck)

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        summary = super().adopt_weights_facts(facts, loaded)
        if self.shift_is_forced:
            reason = "forced by the option shift_bottleneck"
        elif facts is None:
            self._shift_bottleneck(False)
            reason = "published weights, judged so"
        elif facts.shift_bottleneck is None:
            self._shift_bottleneck(True)
            reason = "not in the checkpoint"
        else:
            self._shift_bottleneck(facts.shift_bottleneck)
            reason = "from the checkpoint"
        return f"{summary}; bottleneck {'shifted' if self.shifts_bottleneck else 'not shifted'} ({reason})"

    def _shift_bottleneck(self, shifted: bool) -> None:
        self.shifts_bottleneck = shifted
        self.conv.shift_windows(shifted)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        if local_metadata.get("version") == 1 and not self.shift_is_forced:
            self._shift_bottleneck(False)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


def _named(name: str, *layers: nn.Module) -> nn.Sequential:
    """Layers, one after the other, as a child of that name, which published names of weights have."""
    return nn.Sequential(OrderedDict({name: nn.Sequential(*layers)}))


def _size_rule(multiple_of: int, padding: Padding) -> SizeRule:
    published = padding == "zeros"
    return SizeRule(multiple_of, padding, square=published, centered=published)


def _drop_paths(depths: Sequence[int], most: float) -> list[float]:
    """Rate of stochastic depth of each block."""
    down, up = (np.linspace(0, most, sum(part)).tolist() for part in (depths[:_LEVELS], depths[-_LEVELS:]))
    return [*down, *[most] * depths[_LEVELS], *reversed(up)]


def _initialize(module: nn.Module) -> None:
    """As usual in transformers; convolutions start as PyTorch has them."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
