"""Frames of a blurred photo as its sharp middle frame, moved.

Purohit et al., "Bringing Alive Blurred Moments" (CVPR 2019), as HyperCUT uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from basicsr.archs.base import Block, FeaturePoint, RestorationNetwork, recognize
from basicsr.archs.shapes import convolution
from basicsr.layers.normalization import IDENTITY, IMAGENET
from basicsr.layers.padding import SizeRule
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS, Nested, split_type

Compat = Literal["published", "mended"]

_LEVELS = 4  # flows are at 1, 1/2, 1/4 and 1/8 of the size
_SLOPE = 0.1
_INSIDE = 0.9999  # of a pixel that has to come from inside the frame, as published


@ARCHS.register
class Purohit(RestorationNetwork):
    """An encoder sees the motion (BIE); a recurrent decoder (RVD) moves the middle frame, step by step.

    Args:
        frames: of the clip.
        width: channels of the first layers of the encoder; the others and the memory have twice as many.
        flow_widths: channels of the layers that read and write flow at 1, 1/2 and 1/4 of the size.
        middle: block of the network that makes the sharp middle frame of the photo, which it takes and gives
            in [0, 1]. Null takes the frame as a second input, the field ``middle``.
        train_middle: whether that network is trained, too.
        compat: ``published``: every step starts from zero flow, flow is not scaled when its resolution
            doubles, and frames are sampled half a pixel off, their borders black. ``mended``: a step starts
            from the flow of the last one, flow is in pixels at every resolution, borders are repeated.
    """

    gives = "clip"
    published_normalization = IMAGENET
    stage_names = ("restored", "scales", "flows")

    def __init__(
        self,
        frames: Count = 7,
        width: Count = 64,
        flow_widths: tuple[Count, Count, Count] = (16, 32, 164),
        middle: Annotated[dict[str, Any], Nested(ARCHS)] | None = None,
        train_middle: bool = False,
        compat: Compat = "mended",
    ) -> None:
        super().__init__()
        self.frames = frames
        self.bie = _Encoder(width)
        self.rvd = _Decoder([*flow_widths, 2 * width], compat)
        self.middle: RestorationNetwork | None = None
        self.trains_middle = train_middle
        if middle is None:
            self.image_inputs = ("lq", "middle")
        else:
            name, options = split_type(middle)
            self.middle = ARCHS.build(name, options)
            if not isinstance(self.middle, RestorationNetwork) or self.middle.image_inputs != ("lq",):
                raise ValueError(f"middle: {name} does not restore a photo alone; take another network")
            if self.middle.gives != "image" or self.middle.takes_labels:
                raise ValueError(f"middle: {name} gives a clip or takes label maps; take another network")
            self.middle.requires_grad_(train_middle)
        self.size_rule = SizeRule(2 ** (_LEVELS - 1))
        self.feature_points = (FeaturePoint("bie", 2 * width, 8),)
        self._width = width

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), with the middle frame (B, 6, H, W) -> (B, frames, 3, H, W), not clamped."""
        restored: Tensor = self.stages(x)["restored"]
        return restored

    def stages(self, *inputs: Tensor) -> dict[str, Any]:
        """Also ``scales``, clips (B, frames, 3, H / 2^k, W / 2^k), and ``flows`` (B, frames, 2, ..) in pixels
        of their own size, finest first, of the padded photo.
        """
        (x,) = inputs
        blur, middle = self._with_middle(self.size_rule.pad(x))
        scales, flows = self.rvd(self.bie(torch.cat([blur, middle], dim=1)), middle, self.frames)
        restored = self.size_rule.crop(scales[0], *x.shape[-2:])
        return {"restored": restored, "scales": scales, "flows": flows}

    def _with_middle(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.middle is None:
            return x[:, :3], x[:, 3:]
        known = self.normalization or IDENTITY
        with torch.set_grad_enabled(self.trains_middle and torch.is_grad_enabled()):
            return x, known.apply(self.middle(known.undo(x)))

    def train(self, mode: bool = True) -> Purohit:
        super().train(mode)
        if self.middle is not None and not self.trains_middle:
            self.middle.eval()
        return self

    @property
    def input_channels(self) -> int:
        return 3 * len(self.image_inputs)

    @property
    def bytes_per_pixel(self) -> int:
        own = 4 * (3 * self._width + 9 * self.frames)
        return max(own, 0 if self.middle is None else self.middle.bytes_per_pixel)

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        first = convolution(state, "bie.model.0.weight")
        widths = [convolution(state, f"rvd.flow_encoder.model.{level}.0.weight") for level in range(_LEVELS)]
        if extra_channel or first[1:] != (6, 5, 5) or not all(widths):
            return None
        inner = {name[7:]: tensor for name, tensor in state.items() if name.startswith("middle.")}
        middle = recognize(inner) if inner else None
        block: Block = {"width": first[0], "flow_widths": [shape[0] for shape in widths[:-1]]}
        return block | ({"middle": middle} if middle else {}) | {"compat": "published"}

    def adapt_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Also the weights of the network of the middle frame alone, and without those of the loss."""
        state = {name: tensor for name, tensor in state.items() if not name.startswith("loss.")}
        own = any(name.startswith(("bie.", "rvd.")) for name in state)
        if self.middle is None or own:
            return state
        return {f"middle.{name}": tensor for name, tensor in self.middle.adapt_state(state).items()}


class _Encoder(nn.Module):
    """Photo and middle frame (B, 6, H, W) -> (B, 2 * width, H / 8, W / 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 6
        for after, stride in zip([width] * 3 + [2 * width] * 4, [1, 1, 2, 1, 1, 2, 2], strict=True):
            layers += [nn.Conv2d(before, after, 5, stride, 2), nn.LeakyReLU(_SLOPE)]
            before = after
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.model(x)
        return features


class _Decoder(nn.Module):
    """What the encoder saw, and the middle frame -> frames and flows at each scale, finest first.

    Args:
        widths: channels at 1, 1/2, 1/4 and 1/8 of the size.
    """

    def __init__(self, widths: Sequence[int], compat: Compat) -> None:
        super().__init__()
        self.compat = compat
        self.flow_encoder = _FlowEncoder(widths)
        self.conv_lstm = _ConvLSTM(widths[-1])
        self.flow_decoder = _FlowDecoder(widths, 2.0 if compat == "mended" else 1.0)

    def forward(self, motion: Tensor, middle: Tensor, frames: int) -> tuple[list[Tensor], list[Tensor]]:
        pyramid = [middle]
        for _ in range(_LEVELS - 1):
            pyramid.append(pyramid[-1][..., ::2, ::2])
        hidden, cell = motion, torch.zeros_like(motion)
        flow = torch.zeros_like(middle[:, :2])
        encoded = self.flow_encoder(flow)
        moved: list[list[Tensor]] = []
        flows: list[list[Tensor]] = []
        for number in range(frames):
            if number and self.compat == "mended":
                encoded = self.flow_encoder(flows[-1][0])
            hidden, cell = self.conv_lstm(encoded[-1], hidden, cell)
            flows.append(self.flow_decoder(encoded, hidden))
            moved.append([self._move(*pair) for pair in zip(pyramid, flows[-1], strict=True)])
        frames_of, flows_of = (
            [torch.stack(scale, dim=1) for scale in zip(*steps, strict=True)] for steps in (moved, flows)
        )
        return frames_of, flows_of

    def _move(self, image: Tensor, flow: Tensor) -> Tensor:
        if self.compat == "mended":
            return backward_warp(image, flow)
        grid = _grid(flow)
        moved = nn.functional.grid_sample(image, grid, align_corners=False)
        inside = nn.functional.grid_sample(torch.ones_like(image), grid, align_corners=False)
        return moved * (inside >= _INSIDE).to(moved.dtype)


class _FlowEncoder(nn.Module):
    """Flow (B, 2, H, W) -> features at each scale, finest first."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        before = [2, *widths[:-1]]
        self.model = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before[level], width, 3, 1 if level == 0 else 2, 1), _ResidualBlock(width)
            )
            for level, width in enumerate(widths)
        )

    def forward(self, flow: Tensor) -> list[Tensor]:
        features = []
        for level in self.model:
            flow = level(flow)
            features.append(flow)
        return features


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return _leaky(x + self.conv2(_leaky(self.conv1(x))))


class _ConvLSTM(nn.Module):
    """Shi et al., "Convolutional LSTM Network" (NIPS 2015), without peepholes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        taken, kept, given, new = self.conv(torch.cat([x, hidden], dim=1)).chunk(4, dim=1)
        cell = kept.sigmoid() * cell + taken.sigmoid() * new.tanh()
        return given.sigmoid() * cell.tanh(), cell


class _FlowDecoder(nn.Module):
    """Features of the last flow and the state of the memory -> flows at each scale, finest first.

    Args:
        scale: of flow vectors from one resolution to the next.
    """

    def __init__(self, widths: Sequence[int], scale: float) -> None:
        super().__init__()
        coarse_first = list(reversed(widths))
        self.scale = scale
        self.deconvs = nn.ModuleList(_Up(before, after) for before, after in pairwise(coarse_first))
        self.convs = nn.ModuleList(
            nn.Conv2d(2 * width + (2 if level else 0), 2, 3, padding=1)
            for level, width in enumerate(coarse_first)
        )

    def forward(self, encoded: Sequence[Tensor], hidden: Tensor) -> list[Tensor]:
        flows = [self.convs[0](torch.cat([encoded[-1], hidden], dim=1))]
        for up, conv, features in zip(self.deconvs, self.convs[1:], reversed(encoded[:-1]), strict=True):
            hidden = up(hidden)
            flows.append(conv(torch.cat([features, hidden, self.scale * _doubled(flows[-1])], dim=1)))
        return flows[::-1]


class _Up(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return _leaky(self.conv(_doubled(x)))


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Each pixel of ``image`` (B, C, H, W) taken from where ``flow`` (B, 2, H, W) points, (x, y) in pixels.

    Zero flow changes nothing; what lies outside is the nearest border pixel.
    """
    return nn.functional.grid_sample(image, _grid(flow), padding_mode="border", align_corners=True)


def _grid(flow: Tensor) -> Tensor:
    """(B, 2, H, W) in pixels -> (B, H, W, 2), where -1 and 1 are the first and the last column (or row)."""
    height, width = flow.shape[-2:]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    x = 2 * (columns + flow[:, 0]) / max(width - 1, 1) - 1
    y = 2 * (rows[:, None] + flow[:, 1]) / max(height - 1, 1) - 1
    return torch.stack([x, y], dim=-1)


def _doubled(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, _SLOPE)
