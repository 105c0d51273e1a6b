"""Seven frames from one blurred photo, from the one in the middle outwards.

Jin et al., "Learning to Extract a Video Sequence from a Single Motion-Blurred Image" (CVPR 2018). In HyperCUT
the four networks are trained together, from scratch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from basicsr.archs.base import Block, FeaturePoint, RestorationNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.layers.padding import SizeRule
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS

FRAMES = 7

_CENTER_SCALE = 4  # sides of the blocks of pixels that become channels
_SIDE_SCALE = 5
# The published file of each network names its weights without saying which of the four it is.
_PUBLISHED = {
    "f35": ("generateFrame3.", "generateFrame5."),
    "f26": ("generateFrame2_6.",),
    "f17": ("generateFrame1_7.",),
}


@ARCHS.register
class Jin(RestorationNetwork):
    """Four networks in a row: frame 4 of the photo, then 3 and 5, 2 and 6, 1 and 7 of it and what is known.

    The three colours go through the same layers one by one, here as a batch of three times as many. A photo
    whose sides are no multiples of 20 is padded by reflection.

    Args:
        center_width: channels of the network of frame 4.
        side_width: channels of the others, a multiple of 4.
        center_blocks: blocks before and behind the dilated ones in the network of frame 4.
        near_blocks: the same in that of frames 3 and 5.
        far_blocks: the same in those of frames 2, 6 and 1, 7.
        center_global: channels of the layers of frame 4 that see three colours.
        side_global: the same of the others.
        start_at_input: begin training with each frame the photo itself: the last layers start at zero. The
            published networks start at random, far from any photo.
    """

    gives = "clip"

    def __init__(
        self,
        center_width: Count = 144,
        side_width: Count = 128,
        center_blocks: Count = 3,
        near_blocks: Count = 4,
        far_blocks: Count = 2,
        center_global: Count = 64,
        side_global: Count = 32,
        start_at_input: bool = False,
    ) -> None:
        super().__init__()
        if side_width % 4:
            raise ValueError(f"side_width {side_width}: must be a multiple of 4")
        self.f4 = _Center(center_width, center_blocks, center_global)
        self.f35 = nn.ModuleDict(
            {f"generateFrame{number}": _Side(side_width, near_blocks, side_global) for number in (3, 5)}
        )
        self.f26 = nn.ModuleDict({"generateFrame2_6": _Side(side_width, far_blocks, side_global)})
        self.f17 = nn.ModuleDict({"generateFrame1_7": _Side(side_width, far_blocks, side_global)})
        if start_at_input:
            for module in self.modules():
                if isinstance(module, _Colors):
                    nn.init.zeros_(module.conv3.weight)
        self.size_rule = SizeRule(_CENTER_SCALE * _SIDE_SCALE, "reflect")
        self._width = max(center_width / _CENTER_SCALE**2, side_width / _SIDE_SCALE**2)
        self.feature_points = (FeaturePoint("f4.GlobalGrad", center_global, 1),)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> frames 1 to 7, (B, 7, 3, H, W), not clamped."""
        blur = self.size_rule.pad(x)
        f4 = self.f4(blur)
        f3 = self.f35["generateFrame3"](blur, f4, f4) + f4
        f5 = self.f35["generateFrame5"](blur, f3, f4) + f4
        f2 = self.f26["generateFrame2_6"](blur, f4, f3) + f3
        f6 = self.f26["generateFrame2_6"](blur, f4, f5) + f5
        f1 = self.f17["generateFrame1_7"](blur, f3, f2) + f2
        f7 = self.f17["generateFrame1_7"](blur, f5, f6) + f6
        return self.size_rule.crop(torch.stack([f1, f2, f3, f4, f5, f6, f7], dim=1), *x.shape[-2:])

    @property
    def bytes_per_pixel(self) -> int:
        # measured: three colours, each of some 25 copies of the features of a block
        return int(4 * 3 * 25 * self._width) + 4 * 3 * FRAMES

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        center = convolution(state, "f4.conv1_B.weight")
        side = convolution(state, "f35.generateFrame3.conv1_B.weight")
        if extra_channel or center[1:] != (_CENTER_SCALE**2, 5, 5) or side[1:] != (_SIDE_SCALE**2, 5, 5):
            return None
        return {
            "center_width": center[0],
            "side_width": 2 * side[0],
            "center_blocks": count_children(state, "f4.LocalGrad1"),
            "near_blocks": count_children(state, "f35.generateFrame3.LocalGrad1"),
            "far_blocks": count_children(state, "f26.generateFrame2_6.LocalGrad1"),
            "center_global": convolution(state, "f4.conv2.weight")[0],
            "side_global": convolution(state, "f35.generateFrame3.conv2.weight")[0],
        }

    def adapt_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Also the file of one of the four networks alone, and without the ordering network of the loss."""
        state = {name: tensor for name, tensor in state.items() if not name.startswith("loss.")}
        if any(name.startswith("f4.") for name in state):
            return state
        return {f"{_owner(name)}.{name}": tensor for name, tensor in state.items()}


def _owner(name: str) -> str:
    return next((net for net, begins in _PUBLISHED.items() if name.startswith(begins)), "f4")


class _Block(nn.Module):
    """x + 1x1(x) + 3x3(3x3(x)), each behind an instance norm and ReLU.

    Args:
        dilations: of the two convolutions with 3x3 weights.
    """

    def __init__(self, channels: int, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm4 = (_norm(channels) for _ in range(3))
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2, self.conv4 = (
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        point = self.conv1(self.norm1(x).relu())
        area = self.conv4(self.norm4(self.conv2(self.norm2(x).relu())).relu())
        result: Tensor = x + point + area
        return result


class _Change(nn.Module):
    """1x1(x) + 3x3(x), each behind an instance norm and ReLU; from some channels to others."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(before), _norm(before)
        self.conv1 = nn.Conv2d(before, after, 1, bias=False)
        self.conv2 = nn.Conv2d(before, after, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv1(self.norm1(x).relu()) + self.conv2(self.norm2(x).relu())
        return result


class _Colors(nn.Module):
    """The layers that see three colours: (B, 3, H, W) -> (B, 3, H, W)."""

    def __init__(self, width: int, middle: nn.Module) -> None:
        super().__init__()
        self.conv2 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.GlobalGrad = nn.Sequential(middle)
        self.norm3 = _norm(width)
        self.conv3 = nn.Conv2d(width, 3, 3, padding=1, bias=False)

    def join(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv3(self.norm3(self.GlobalGrad(self.conv2(x))).relu())
        return result


class _Center(_Colors):
    """Frame 4 of a photo whose sides are multiples of 4."""

    def __init__(self, width: int, blocks: int, colors: int) -> None:
        super().__init__(colors, _Block(colors))
        pixels = _CENTER_SCALE**2
        self.conv1_B = nn.Conv2d(pixels, width, 5, padding=2, bias=False)
        self.LocalGrad1 = _blocks(width, [(1, 1)] * blocks)
        self.LocalGrad2 = _blocks(width, [(1, 2), (2, 4), (4, 8)])
        self.LocalGrad3 = _blocks(width, [(8, 4), (4, 2), (2, 1)])
        self.LocalGrad4 = _blocks(width, [(1, 1)] * blocks)
        self.fuse1, self.fuse2, self.fuse3, self.fuse4 = (
            nn.Sequential(_Change(width, pixels)) for _ in range(4)
        )

    def forward(self, blur: Tensor) -> Tensor:
        pixels = _as_batch(blur, _CENTER_SCALE)
        features, total = self.conv1_B(pixels), pixels
        for grad, fuse in (
            (self.LocalGrad1, self.fuse1),
            (self.LocalGrad2, self.fuse2),
            (self.LocalGrad3, self.fuse3),
            (self.LocalGrad4, self.fuse4),
        ):
            features = grad(features)
            total = total + fuse(features)
        return self.join(_as_colors(total, _CENTER_SCALE)) + blur


class _Side(_Colors):
    """What a frame differs by from a neighbour; sides are multiples of 5."""

    def __init__(self, width: int, blocks: int, colors: int) -> None:
        super().__init__(colors, _Change(colors, colors))
        pixels = _SIDE_SCALE**2
        self.conv1_B = nn.Conv2d(pixels, width // 2, 5, padding=2, bias=False)
        self.conv1_S1, self.conv1_S2 = (
            nn.Conv2d(pixels, width // 4, 5, padding=2, bias=False) for _ in range(2)
        )
        self.LocalGrad1 = _blocks(width, [(1, 1)] * blocks)
        self.LocalGrad2 = _blocks(width, [(1, 2), (4, 8), (8, 4), (2, 1)])
        self.LocalGrad3 = _blocks(width, [(1, 1)] * blocks)
        self.fuse1, self.fuse2, self.fuse3 = (nn.Sequential(_Change(width, pixels)) for _ in range(3))

    def forward(self, blur: Tensor, other: Tensor, neighbor: Tensor) -> Tensor:
        """
        Args:
            blur, other, neighbor: the photo and two frames, (B, 3, H, W) each.
        """
        parts = [_as_batch(image, _SIDE_SCALE) for image in (blur, other, neighbor)]
        features = torch.cat(
            [self.conv1_B(parts[0]), self.conv1_S1(parts[1]), self.conv1_S2(parts[2])], dim=1
        )
        total = parts[2]
        for grad, fuse in (
            (self.LocalGrad1, self.fuse1),
            (self.LocalGrad2, self.fuse2),
            (self.LocalGrad3, self.fuse3),
        ):
            features = grad(features)
            total = total + fuse(features)
        return self.join(_as_colors(total, _SIDE_SCALE))


def _blocks(width: int, dilations: Iterable[tuple[int, int]]) -> nn.Sequential:
    return nn.Sequential(*(_Block(width, pair) for pair in dilations))


def _norm(channels: int) -> nn.Module:
    # An instance norm, by the quicker implementation of PyTorch's two, which keeps the memory layout.
    return nn.GroupNorm(channels, channels)


def _as_batch(image: Tensor, scale: int) -> Tensor:
    """(B, 3, H, W) -> (3 B, scale^2, H / scale, W / scale): blocks of pixels of one colour."""
    pixels = nn.functional.pixel_unshuffle(image.flatten(0, 1).unsqueeze(1), scale)
    if not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
        # Forward passes are quicker in this layout, which norms keep; backward passes are slower.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    return pixels


def _as_colors(pixels: Tensor, scale: int) -> Tensor:
    """What undoes `_as_batch`."""
    return nn.functional.pixel_shuffle(pixels, scale).squeeze(1).unflatten(0, (-1, 3))
