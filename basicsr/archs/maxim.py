"""MAXIM (Tu et al., "MAXIM: Multi-Axis MLP for Image Processing", CVPR 2022, arXiv 2201.02973).

Features are (B, H, W, C) inside: most layers mix channels, and those that mix positions do so for all
channels at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from basicsr.archs.base import Block, RestorationNetwork
from basicsr.archs.shapes import convolution, count_children
from basicsr.layers.multi_axis import MultiAxisGate, MultiAxisMlp, PixelNorm, gelu
from basicsr.layers.padding import Padding, SizeRule
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.convert import Count
from basicsr.utils.registry import ARCHS

# As in the published networks.
_LEVELS = 3
_SLOPE = 0.2


class PixelConv(nn.Conv2d):
    """Convolution of (B, H, W, C); it keeps the size, or halves it with ``stride`` 2."""

    def __init__(self, channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(channels, out_channels, kernel_size, stride, (kernel_size - 1) // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H / stride, W / stride, out_channels)."""
        if self.kernel_size == (1, 1):  # a dense layer, which needs no other layout
            return nn.functional.linear(x, self.weight.flatten(1), self.bias)
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Doubled(nn.ConvTranspose2d):
    """Transposed convolution that doubles height and width."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """(B, H, W, C) -> (B, 2H, 2W, out_channels)."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Resized(nn.Module):
    """Features of another level: resized bilinearly with antialiasing, and projected.

    Args:
        channels: of the features.
        out_channels: of the result.
        levels_up: how many times height and width double; they halve if it is negative.
    """

    def __init__(self, channels: int, out_channels: int, levels_up: int) -> None:
        super().__init__()
        self.levels_up = levels_up
        self.conv = PixelConv(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H * 2^levels_up, W * 2^levels_up, out_channels)."""
        if self.levels_up < 0:
            return self.conv(shrink(x.permute(0, 3, 1, 2), 2**-self.levels_up).permute(0, 2, 3, 1))
        x = self.conv(x)  # first, while there are fewer pixels: it commutes with the resizing
        if self.levels_up == 0:
            return x
        larger = nn.functional.interpolate(
            x.permute(0, 3, 1, 2), scale_factor=float(2**self.levels_up), mode="bilinear"
        )
        return larger.permute(0, 2, 3, 1)


def shrink(x: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H / factor, W / factor): means under triangles ``2 * factor`` wide.

    At the border, only the part of the triangle inside the image counts. A convolution, since PyTorch's own
    antialiased interpolation has no deterministic gradient on CUDA.
    """
    distance = (torch.arange(2 * factor, device=x.device, dtype=x.dtype) + 0.5 - factor).abs()
    triangle = (1 - distance / factor) / factor
    kernel = triangle[:, None] * triangle
    inside = nn.functional.conv2d(
        x.new_ones(1, 1, *x.shape[-2:]), kernel[None, None], None, factor, factor // 2
    )
    kernels = kernel.expand(x.shape[1], 1, -1, -1)
    return nn.functional.conv2d(x, kernels, None, factor, factor // 2, groups=x.shape[1]) / inside


class CrossGating(nn.Module):
    """Two kinds of features, each gated by the other.

    Args:
        x_channels: of the first features.
        channels: of the second features, and of both results.
        size: side of the groups, see `basicsr.layers.multi_axis.grouped`.
    """

    def __init__(self, x_channels: int, channels: int, size: int) -> None:
        super().__init__()
        self.conv_x = PixelConv(x_channels, channels, 1)
        self.conv_y = PixelConv(channels, channels, 1)
        self.norm_x, self.norm_y = PixelNorm(channels), PixelNorm(channels)
        self.project_in_x, self.project_in_y = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.gate_x, self.gate_y = MultiAxisGate(channels, size), MultiAxisGate(channels, size)
        self.project_out_x, self.project_out_y = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, x_channels), (B, H, W, C) -> (B, H, W, C) twice: both together, and the second alone."""
        x, y = self.conv_x(x), self.conv_y(y)
        inner_x = gelu(self.project_in_x(self.norm_x(x)))
        inner_y = gelu(self.project_in_y(self.norm_y(y)))
        y = self.project_out_y(self.gate_x(inner_x).mul_(inner_y)).add_(y)
        return self.project_out_x(self.gate_y(inner_y).mul_(inner_x)).add_(x).add_(y), y


class ChannelAttention(nn.Module):
    """Each channel times a factor computed from the means of all channels (squeeze and excitation).

    Args:
        channels: of input and output.
        reduction: how many times fewer channels the hidden layer has.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.squeeze = PixelConv(channels, channels // reduction, 1)
        self.excite = PixelConv(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        means = x.mean((1, 2), keepdim=True)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


class ConvAttention(nn.Module):
    """Residual block of two convolutions and channel attention.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.conv1 = PixelConv(channels, channels, 3)
        self.conv2 = PixelConv(channels, channels, 3)
        self.attention = ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        inner = self.conv2(nn.functional.leaky_relu(self.conv1(self.norm(x)), _SLOPE, inplace=True))
        return self.attention(inner).add_(x)


class DenseAttention(nn.Module):
    """Residual block of two dense layers over channels and channel attention.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.dense1 = nn.Linear(channels, channels)
        self.dense2 = nn.Linear(channels, channels)
        self.attention = ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return self.attention(self.dense2(gelu(self.dense1(self.norm(x))))).add_(x)


class LevelBlock(nn.Module):
    """The block of one level, on the way down and on the way up.

    Args:
        in_channels: of all inputs together.
        channels: of the output.
        size: side of the groups, see `basicsr.layers.multi_axis.grouped`.
        num_blocks: multi-axis MLPs, each followed by a `ConvAttention`.
    """

    def __init__(self, in_channels: int, channels: int, size: int, num_blocks: int) -> None:
        super().__init__()
        self.conv = PixelConv(in_channels, channels, 1)
        self.mlps = nn.ModuleList(MultiAxisMlp(channels, size) for _ in range(num_blocks))
        self.attentions = nn.ModuleList(ConvAttention(channels) for _ in range(num_blocks))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Inputs (B, H, W, .) -> (B, H, W, C)."""
        shallow = x = self.conv(torch.cat(list(inputs), dim=-1))
        for mlp, attention in zip(self.mlps, self.attentions, strict=True):
            x = attention(mlp(x))
        return x.add_(shallow)


class Encoder(nn.Module):
    """A level on the way down.

    Args:
        in_channels, channels, size, num_blocks: see `LevelBlock`.
        takes_earlier: whether features of the previous stage are gated in.
    """

    def __init__(
        self, in_channels: int, channels: int, size: int, num_blocks: int, takes_earlier: bool
    ) -> None:
        super().__init__()
        self.block = LevelBlock(in_channels, channels, size, num_blocks)
        self.cross = CrossGating(channels, channels, size) if takes_earlier else None
        self.down = PixelConv(channels, channels, 4, stride=2)

    def forward(self, inputs: Sequence[Tensor], earlier: Tensor | None) -> tuple[Tensor, Tensor]:
        """Inputs (B, H, W, .) -> features (B, H, W, C), and input of the next level (B, H / 2, W / 2, C).

        Args:
            earlier: features of the previous stage (B, H, W, C), if it takes any.
        """
        features = self.block(inputs)
        if self.cross is not None:
            assert earlier is not None
            features, _ = self.cross(features, earlier)
        return features, self.down(features)


class Bottleneck(nn.Module):
    """The block at the lowest resolution, of dense layers only.

    Args:
        channels: of input and output.
        size: side of the groups, see `basicsr.layers.multi_axis.grouped`.
        num_blocks: multi-axis MLPs, each followed by a `DenseAttention`.
    """

    def __init__(self, channels: int, size: int, num_blocks: int) -> None:
        super().__init__()
        self.conv = PixelConv(channels, channels, 1)
        self.mlps = nn.ModuleList(MultiAxisMlp(channels, size) for _ in range(num_blocks))
        self.attentions = nn.ModuleList(DenseAttention(channels) for _ in range(num_blocks))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        shallow = x = self.conv(x)
        for mlp, attention in zip(self.mlps, self.attentions, strict=True):
            x = attention(mlp(x))
        return x.add_(shallow)


class Skip(nn.Module):
    """The skip connection at one level: features of all levels, and of the level below.

    Args:
        widths: channels of the levels, fine to coarse.
        level: index of the level.
        size: side of the groups, see `basicsr.layers.multi_axis.grouped`.
    """

    def __init__(self, widths: Sequence[int], level: int, size: int) -> None:
        super().__init__()
        channels = widths[level]
        self.resizes = nn.ModuleList(
            Resized(width, channels, source - level) for source, width in enumerate(widths)
        )
        self.up = Doubled(widths[min(level + 1, len(widths) - 1)], channels)
        self.cross = CrossGating(len(widths) * channels, channels, size)

    def forward(self, encoded: Sequence[Tensor], below: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the encoders, fine to coarse, and from below -> gated features, and those for above."""
        resized = [resize(x) for resize, x in zip(self.resizes, encoded, strict=True)]
        return self.cross(torch.cat(resized, dim=-1), self.up(below))


class Decoder(nn.Module):
    """A level on the way up: the level below, and the gated features of all levels.

    Args:
        widths, level, size: see `Skip`.
        num_blocks: see `LevelBlock`.
    """

    def __init__(self, widths: Sequence[int], level: int, size: int, num_blocks: int) -> None:
        super().__init__()
        channels = widths[level]
        self.resizes = nn.ModuleList(
            Resized(width, channels, source - level) for source, width in enumerate(widths)
        )
        self.up = Doubled(widths[min(level + 1, len(widths) - 1)], channels)
        self.block = LevelBlock((len(widths) + 1) * channels, channels, size, num_blocks)

    def forward(self, gated: Sequence[Tensor], below: Tensor) -> Tensor:
        """Features of the skips, fine to coarse, and of the level below -> (B, H, W, C)."""
        resized = [resize(x) for resize, x in zip(self.resizes, gated, strict=True)]
        return self.block([self.up(below), *reversed(resized)])


class SupervisedAttention(nn.Module):
    """An image at one scale, and features gated by it for the next stage (after MPRNet).

    Args:
        channels: of the features.
        img_channel: of the image.
    """

    def __init__(self, channels: int, img_channel: int) -> None:
        super().__init__()
        self.conv = PixelConv(channels, channels, 3)
        self.to_image = PixelConv(channels, img_channel, 3)
        self.from_image = PixelConv(img_channel, channels, 3)

    def forward(self, features: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, H, W, C) and the degraded image of this scale -> gated features, restored image."""
        restored = self.to_image(features) + image
        gate = torch.sigmoid(self.from_image(restored))
        return features + self.conv(features) * gate, restored


@dataclass(frozen=True)
class Earlier:
    """What a stage passes to the next: features (B, H, W, C) of each level, fine to coarse."""

    encoded: list[Tensor]
    decoded: list[Tensor]
    gated: list[Tensor]


class Stage(nn.Module):
    """One U-Net over three scales, which shares its features across scales.

    Args:
        img_channel: of the images.
        widths: channels of the levels, fine to coarse.
        sizes: sides of the groups of the levels and of the bottleneck.
        num_blocks: of each level and of each bottleneck.
        num_bottlenecks: blocks at the lowest resolution, in sequence.
        is_first: whether it is the first stage.
        images: number of restored images that it returns, finest first.
        is_last: whether it is the last stage, which passes on no gated features.
    """

    def __init__(
        self,
        img_channel: int,
        widths: Sequence[int],
        sizes: Sequence[int],
        num_blocks: int,
        num_bottlenecks: int,
        is_first: bool,
        is_last: bool,
        images: int,
    ) -> None:
        super().__init__()
        levels = range(len(widths))
        below = [widths[0], *widths]  # channels from the level above, on the way down
        self.inputs = nn.ModuleList(PixelConv(img_channel, width, 3) for width in widths)
        self.fuses = nn.ModuleList(
            CrossGating(width, width, size)
            for width, size in zip(widths, sizes, strict=False)
            if not is_first
        )
        self.encoders = nn.ModuleList(
            Encoder(below[level] + widths[level], widths[level], sizes[level], num_blocks, not is_first)
            for level in levels
        )
        self.bottlenecks = nn.ModuleList(
            Bottleneck(widths[-1], sizes[-1], num_blocks) for _ in range(num_bottlenecks)
        )
        self.skips = nn.ModuleList(Skip(widths, level, sizes[level]) for level in levels)
        self.decoders = nn.ModuleList(Decoder(widths, level, sizes[level], num_blocks) for level in levels)
        self.supervised = nn.ModuleList(
            SupervisedAttention(width, img_channel) for width in widths if not is_last
        )
        self.outputs = nn.ModuleList(PixelConv(width, img_channel, 3) for width in widths[:images] if is_last)

    def forward(self, images: Sequence[Tensor], earlier: Earlier | None) -> tuple[list[Tensor], Earlier]:
        """Degraded images (B, H / 2^k, W / 2^k, C), finest first -> restored images, features to pass on."""
        shallow = [conv(image) for conv, image in zip(self.inputs, images, strict=True)]
        if earlier is not None:
            fused = zip(self.fuses, shallow, earlier.gated, strict=True)
            shallow = [fuse(x, gated)[0] for fuse, x, gated in fused]
        encoded: list[Tensor] = []
        down = shallow[0]
        for level, (encoder, x) in enumerate(zip(self.encoders, shallow, strict=True)):
            before = earlier and earlier.encoded[level] + earlier.decoded[level]
            features, down = encoder([down, x], before)
            encoded.append(features)
        for bottleneck in self.bottlenecks:
            down = bottleneck(down)
        gated: list[Tensor] = []
        below = down
        for skip in reversed(self.skips):
            features, below = skip(encoded, below)
            gated.insert(0, features)
        decoded: list[Tensor] = []
        below = down
        for decoder in reversed(self.decoders):
            below = decoder(gated, below)
            decoded.insert(0, below)
        attended = [
            attention(x, image) for attention, x, image in zip(self.supervised, decoded, images, strict=False)
        ]
        restored = [image for _, image in attended]
        restored += [conv(x) + image for conv, x, image in zip(self.outputs, decoded, images, strict=False)]
        return restored, Earlier(encoded, decoded, [features for features, _ in attended])


@ARCHS.register
class MAXIM(RestorationNetwork):
    """MAXIM: stages of U-Nets whose blocks mix pixels of blocks and of a grid over the whole image.

    Args:
        img_channel: channels of the image.
        width: channels at full resolution, doubled at each of two levels down (32 in MAXIM-S).
        num_stages: stages, each of which refines the result of the previous one (2 for deraining, 3 for
            deblurring and denoising).
        num_blocks: multi-axis MLPs of each level.
        num_bottlenecks: blocks at the lowest resolution.
        block_size: side of blocks and grid at the first two levels.
        low_block_size: of the third level and of the bottleneck.
        coarse_images: whether the last stage also restores images at all scales, for the training losses;
            published weights that were exported for inference lack these layers.
        padding: of images whose sides do not fit, on all sides. null follows the weights: reflect for
            published ones and for networks trained here.
    """

    stage_names = ("restored", "stage_scales")

    def __init__(
        self,
        img_channel: Count = 3,
        width: Count = 32,
        num_stages: Count = 3,
        num_blocks: Count = 2,
        num_bottlenecks: Count = 2,
        block_size: Count = 16,
        low_block_size: Count = 8,
        coarse_images: bool = True,
        padding: Padding | None = None,
    ) -> None:
        super().__init__()
        if width % 4:
            raise ValueError(
                f"width {width}: expected a multiple of 4, since channel attention divides it by 4"
            )
        self.img_channel = img_channel
        self.width = width
        widths = [width * 2**level for level in range(_LEVELS)]
        sizes = [block_size, block_size, low_block_size, low_block_size]
        self.unets = nn.ModuleList(
            Stage(
                img_channel,
                widths,
                sizes,
                num_blocks,
                num_bottlenecks,
                is_first=number == 0,
                is_last=number == num_stages - 1,
                images=_LEVELS if coarse_images else 1,
            )
            for number in range(num_stages)
        )
        multiple_of = math.lcm(*(size * 2**level for level, size in enumerate(sizes)))
        self.size_rule = SizeRule(multiple_of, padding or "reflect", centered=True)
        self.padding_is_forced = padding is not None

    def forward(self, x: Tensor) -> Tensor:
        """(B, img_channel, H, W) in [0, 1] -> (B, img_channel, H, W), not clamped."""
        return self._cropped(self._scales(x)[-1][0], x)

    def stages(self, x: Tensor) -> dict[str, Any]:  # type: ignore[override]
        """``stage_scales``: for each stage in order, the ``scales`` of `RestorationNetwork.stages`."""
        scales = self._scales(x)
        return {"restored": self._cropped(scales[-1][0], x), "stage_scales": scales}

    def first_stages(self, count: int) -> MAXIM:
        """The image that the last of these stages restored is the result; nothing needs its coarse images."""
        if not 0 < count < len(self.unets):
            raise ValueError(f"{count} stages: this network has {len(self.unets)}; take fewer")
        state = self.state_dict()
        options = {**(self.recognize(state) or {}), "num_stages": count, "coarse_images": False}
        net = MAXIM(**options)
        last = f"unets.{count - 1}."
        renamed = (f"{last}outputs.0", f"{last}supervised.0.to_image")
        net.load_state_dict({name: state[name.replace(*renamed)] for name in net.state_dict()})
        net.block = {"type": "MAXIM", **options}
        net.size_rule, net.normalization = self.size_rule, self.normalization
        return net

    def _scales(self, x: Tensor) -> list[list[Tensor]]:
        padded = self.size_rule.pad(x).permute(0, 2, 3, 1)
        # Coarser images are every second and every fourth pixel, those nearest the middle.
        images = [padded, *(padded[:, step // 2 :: step, step // 2 :: step] for step in (2, 4))]
        restored, earlier = [], None
        for unet in self.unets:
            images_of_stage, earlier = unet(images, earlier)
            restored.append([image.permute(0, 3, 1, 2) for image in images_of_stage])
        return restored

    def _cropped(self, image: Tensor, x: Tensor) -> Tensor:
        return self.size_rule.crop(image, x.shape[-2], x.shape[-1])

    @property
    def bytes_per_pixel(self) -> int:
        """Includes features of three levels kept for the next stage; measured at 512x512 pixels on a CPU."""
        return 160 * self.width

    @classmethod
    def recognize(cls, state: Mapping[str, Tensor], extra_channel: int = 0) -> Block | None:
        first = convolution(state, "unets.0.inputs.0.weight")
        high, low = (
            state.get(f"unets.0.encoders.{level}.block.mlps.0.grid.gate.dense.bias") for level in (0, 2)
        )
        if not first or high is None or low is None or extra_channel:
            return None
        stages = count_children(state, "unets")
        return {
            "img_channel": first[1],
            "width": first[0],
            "num_stages": stages,
            "num_blocks": count_children(state, "unets.0.encoders.0.block.mlps"),
            "num_bottlenecks": count_children(state, "unets.0.bottlenecks"),
            "block_size": math.isqrt(high.numel()),
            "low_block_size": math.isqrt(low.numel()),
            "coarse_images": count_children(state, f"unets.{stages - 1}.outputs") == _LEVELS,
        }

    def weights_facts(self) -> WeightsFacts:
        return WeightsFacts(padding=self.size_rule.padding)

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        if self.padding_is_forced:
            return f"padding {self.size_rule.padding} (forced by the option padding)"
        padding = (facts and facts.padding) or "reflect"
        self.size_rule = replace(self.size_rule, padding=padding)
        return f"padding {padding} ({'from the checkpoint' if facts and facts.padding else 'as published'})"
