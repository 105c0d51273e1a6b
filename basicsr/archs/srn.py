"""SRN (Tao et al., "Scale-recurrent Network for Deep Image Deblurring", CVPR 2018, arXiv 1802.01770)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from basicsr.archs.base import Block, RestorationNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.layers.padding import SizeRule, repeat_edge
from basicsr.utils.convert import Count
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS

_LEVELS = 3
State = tuple[Tensor, Tensor]


class ResBlock(nn.Module):
    """Two convolutions with a ReLU between them, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 5, padding=2)
        self.conv2 = nn.Conv2d(channels, channels, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.conv2(self.conv1(x).relu())


class Encoder(nn.Module):
    """One level on the way down: a convolution with ReLU, and residual blocks.

    Args:
        in_channels, out_channels: of it.
        blocks: residual blocks.
        stride: how many times smaller the output is.
        pads_late: pad one row and column more behind the image than before it, as TensorFlow does where
            stride 2 meets even sizes.
    """

    def __init__(
        self, in_channels: int, out_channels: int, blocks: int, stride: int = 1, pads_late: bool = False
    ) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 2, 1, 2)) if pads_late else nn.Identity()
        self.conv = nn.Conv2d(in_channels, out_channels, 5, stride, padding=0 if pads_late else 2)
        self.blocks = nn.Sequential(*(ResBlock(out_channels) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        return self.blocks(self.conv(self.pad(x)).relu())


class ConvLSTM(nn.Module):
    """A convolutional LSTM (arXiv 1506.04214) without peepholes, of as many channels as its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor, state: State | None) -> State:
        """(B, C, H, W) and the state, None at first -> the next state: memory and output."""
        memory, output = state if state is not None else (torch.zeros_like(x), torch.zeros_like(x))
        gates = self.conv(torch.cat([x, output], dim=1)).chunk(4, dim=1)
        enters, candidate, stays, leaves = gates
        memory = memory * (stays + 1).sigmoid() + enters.sigmoid() * candidate.tanh()
        return memory, memory.tanh() * leaves.sigmoid()


@ARCHS.register
class SRN(RestorationNetwork):
    """SRN: one U-Net, run from coarse to fine on the image and its last result, which gets no gradient.

    The grey networks restore the three channels of an RGB image by themselves, as a batch of grey images, as
    the published code does.

    Feature points are passed once a scale, the finest last. Grey networks have none, since their batches are
    not those of the images.

    Args:
        model: ``color``; ``gray``, of one channel; ``lstm``, which is ``gray`` with a memory that passes from
            scale to scale.
        width: channels at full resolution.
        blocks: residual blocks of each level.
        scales: how often the network runs; images are 2^(scales - 1) times smaller at first.
        tf_compat: resize and pad as TensorFlow 1 does, which the published weights need: by taking every
            2^k-th pixel, and by linear interpolation that starts from the first pixel. Else images are
            shrunk with anti-aliasing, and pixels have their places in the middle.
        extra_channel: further input channels behind the image; grey networks see them with each channel.
    """

    stage_names = ("restored", "scales")

    def __init__(
        self,
        model: Literal["color", "gray", "lstm"] = "color",
        width: Count = 32,
        blocks: Count = 3,
        scales: Count = 3,
        tf_compat: bool = False,
        extra_channel: Annotated[int, Meta(ge=0)] = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.scales = scales
        self.tf_compat = tf_compat
        self.extra_channel = extra_channel
        self.size_rule = SizeRule(2 ** (scales - 1 + _LEVELS - 1))
        restored_channels = 3 if model == "color" else 1
        widths = [width * 2**level for level in range(_LEVELS)]
        steps = list(pairwise(widths))
        self.encoders = nn.ModuleList([Encoder(2 * restored_channels + extra_channel, width, blocks)])
        for fine, coarse in steps:
            self.encoders.append(Encoder(fine, coarse, blocks, stride=2, pads_late=tf_compat))
        # There are no feature points: each level runs once a scale.
        self.lstm = ConvLSTM(widths[-1]) if model == "lstm" else None
        self.decoders = nn.ModuleList(
            nn.Sequential(*(ResBlock(channels) for _ in range(blocks))) for channels in reversed(widths)
        )
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=1) for fine, coarse in reversed(steps)
        )
        self.ending = nn.Conv2d(width, restored_channels, 5, padding=2)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3 + extra_channel, H, W) in [0, 1] -> (B, 3, H, W), not clamped."""
        restored: Tensor = self.stages(x)["restored"]
        return restored

    def stages(self, x: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """``restored`` and ``scales``, the image at all scales."""
        scales = self.restore(self.size_rule.pad(x))
        return {"restored": self.size_rule.crop(scales[0], *x.shape[-2:]), "scales": scales}

    def restore(self, x: Tensor) -> list[Tensor]:
        """Images (B, 3, H / 2^k, W / 2^k), finest first, for sizes that fit `size_rule`."""
        if self.model != "color":
            gray = x[:, :3].reshape(-1, 1, *x.shape[-2:])
            x = torch.cat([gray, x[:, 3:].repeat_interleave(3, dim=0)], dim=1)
        restored: list[Tensor] = []
        state: State | None = None
        for scale in reversed(range(self.scales)):
            small = self._shrunk(x, 2**scale)
            image, extra = small.split([x.shape[1] - self.extra_channel, self.extra_channel], dim=1)
            last = self._doubled(restored[0].detach()) if restored else image
            inputs = torch.cat([image, last, extra], dim=1)
            if state is not None:
                state = self._doubled(state[0]), self._doubled(state[1])
            result, state = self._run(inputs, state)
            restored.insert(0, result)
        if self.model != "color":
            restored = [image.reshape(-1, 3, *image.shape[-2:]) for image in restored]
        return restored

    def _run(self, x: Tensor, state: State | None) -> tuple[Tensor, State | None]:
        """The U-Net at one scale."""
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        if self.lstm is not None:
            state = self.lstm(x, state)
            x = state[1]
        x = self.decoders[0](x)
        for up, decoder, skip in zip(self.ups, self.decoders[1:], reversed(skips[:-1]), strict=True):
            x = decoder(up(x).relu() + skip)
        return self.ending(x), state

    def _shrunk(self, image: Tensor, factor: int) -> Tensor:
        """(B, C, H, W) -> (B, C, H / factor, W / factor)."""
        if factor == 1 or self.tf_compat:
            return image[..., ::factor, ::factor]
        size = (image.shape[-2] // factor, image.shape[-1] // factor)
        return functional.interpolate(image, size, mode="bilinear", antialias=True)

    def _doubled(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        if self.tf_compat:
            # pixels and the places halfway to the next one; the last one has itself for next
            size = (2 * image.shape[-2] + 1, 2 * image.shape[-1] + 1)
            extended = repeat_edge(image, 1, 1)
            between = functional.interpolate(extended, size, mode="bilinear", align_corners=True)
            return between[..., :-1, :-1]
        return functional.interpolate(image, scale_factor=2, mode="bilinear")

    @property
    def input_channels(self) -> int:
        return 3 + self.extra_channel

    @property
    def bytes_per_pixel(self) -> int:
        return super().bytes_per_pixel * (1 if self.model == "color" else 3)

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        published = _is_published(state)
        if published:
            state = _from_tensorflow(state)
        first, last = convolution(state, "encoders.0.conv.weight"), convolution(state, "ending.weight")
        if not first or not last or last[0] not in (1, 3) or first[1] != 2 * last[0] + extra_channel:
            return None
        model = "color" if last[0] == 3 else "lstm" if "lstm.conv.weight" in state else "gray"
        block = {"model": model, "width": first[0], "blocks": count_children(state, "decoders.0")}
        return block | ({"tf_compat": True} if published else {})

    def adapt_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if not _is_published(state):
            return state
        if not self.tf_compat:
            what = "these are weights of TensorFlow's SRN, which resizes and pads in other places"
            raise UserError(f"network_g.tf_compat: {what}; set it to true (got False)")
        return _from_tensorflow(state)


def _is_published(state: Mapping[str, Tensor]) -> bool:
    return "g_net/enc1_1/weights" in state


def _published_layers() -> dict[str, str]:
    """The layers of the published network, which has 3 blocks a level, by the names that they have here."""
    layers = {"lstm.conv": "convLSTM/LSTM_conv", "ups.0": "dec2_4", "ups.1": "dec1_4", "ending": "dec1_0"}
    for level in range(_LEVELS):
        layers[f"encoders.{level}.conv"] = f"enc{level + 1}_1"
        for block in range(3):
            for conv in ("conv1", "conv2"):
                layers[f"encoders.{level}.blocks.{block}.{conv}"] = f"enc{level + 1}_{block + 2}/{conv}"
                layers[f"decoders.{level}.{block}.{conv}"] = f"dec{_LEVELS - level}_{3 - block}/{conv}"
    return layers


def _from_tensorflow(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Variables of the published network, without those of its optimiser, by our names and in our layout."""
    adapted = {}
    for own, published in _published_layers().items():
        for own_kind, kind in (("weight", "weights"), ("bias", "biases")):
            tensor = state.get(f"g_net/{published}/{kind}")
            if tensor is not None:
                # (H, W, in, out), of transposed convolutions (H, W, out, in)
                adapted[f"{own}.{own_kind}"] = tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor
    return adapted
