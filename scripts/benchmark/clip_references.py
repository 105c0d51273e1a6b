"""Plain formulations of the networks of clips, as functions of their weights.

One color after the other, one pair of frames after the other; norms and warping are written out.
"""

from __future__ import annotations

import torch
from network_references import State, convolved, numbered
from torch import Tensor
from torch.nn import functional

EPS = 1e-5  # of instance norms
SLOPE = 0.1  # of Purohit's leaky ReLU
DILATIONS = {
    ("f4", 2): [(1, 2), (2, 4), (4, 8)],
    ("f4", 3): [(8, 4), (4, 2), (2, 1)],
    ("side", 2): [(1, 2), (4, 8), (8, 4), (2, 1)],
}


def jin(state: State, photo: Tensor) -> Tensor:
    """Frames (B, 7, 3, H, W) of Jin et al. (CVPR 2018); photos (B, 3, H, W) with sides that 20 divides."""

    def normed(name: str, x: Tensor) -> Tensor:
        x = instance_norm(x, state[f"{name}.weight"], state[f"{name}.bias"])
        return x.relu()

    def block(name: str, x: Tensor, dilations: tuple[int, int] = (1, 1)) -> Tensor:
        point = convolved(state, f"{name}.conv1", normed(f"{name}.norm1", x))
        first, second = dilations
        area = convolved(state, f"{name}.conv2", normed(f"{name}.norm2", x), dilation=first)
        area = convolved(state, f"{name}.conv4", normed(f"{name}.norm4", area), dilation=second)
        return x + point + area

    def change(name: str, x: Tensor) -> Tensor:
        point = convolved(state, f"{name}.conv1", normed(f"{name}.norm1", x))
        return point + convolved(state, f"{name}.conv2", normed(f"{name}.norm2", x))

    def local(net: str, features: Tensor, total: Tensor) -> Tensor:
        for number in range(1, 5 if net == "f4" else 4):
            blocks = numbered(state, f"{net}.LocalGrad{number}")
            widths = DILATIONS.get(("f4" if net == "f4" else "side", number), [(1, 1)] * len(blocks))
            for name, dilations in zip(blocks, widths, strict=True):
                features = block(name, features, dilations)
            total = total + change(f"{net}.fuse{number}.0", features)
        return total

    def joined(net: str, colors: list[Tensor]) -> Tensor:
        x = convolved(state, f"{net}.conv2", torch.cat(colors, dim=1))
        x = (block if net == "f4" else change)(f"{net}.GlobalGrad.0", x)
        return convolved(state, f"{net}.conv3", normed(f"{net}.norm3", x))

    def center(photo: Tensor) -> Tensor:
        colors = []
        for color in photo.split(1, dim=1):
            pixels = functional.pixel_unshuffle(color, 4)
            total = local("f4", convolved(state, "f4.conv1_B", pixels), pixels)
            colors.append(functional.pixel_shuffle(total, 4))
        return photo + joined("f4", colors)

    def side(net: str, photo: Tensor, other: Tensor, neighbor: Tensor) -> Tensor:
        colors = []
        for images in zip(*(image.split(1, dim=1) for image in (photo, other, neighbor)), strict=True):
            parts = [functional.pixel_unshuffle(image, 5) for image in images]
            names = ("conv1_B", "conv1_S1", "conv1_S2")
            features = [convolved(state, f"{net}.{name}", x) for name, x in zip(names, parts, strict=True)]
            total = local(net, torch.cat(features, dim=1), parts[2])
            colors.append(functional.pixel_shuffle(total, 5))
        return neighbor + joined(net, colors)

    f4 = center(photo)
    f3 = side("f35.generateFrame3", photo, f4, f4)
    f5 = side("f35.generateFrame5", photo, f3, f4)
    f2 = side("f26.generateFrame2_6", photo, f4, f3)
    f6 = side("f26.generateFrame2_6", photo, f4, f5)
    f1 = side("f17.generateFrame1_7", photo, f3, f2)
    f7 = side("f17.generateFrame1_7", photo, f5, f6)
    return torch.stack([f1, f2, f3, f4, f5, f6, f7], dim=1)


def instance_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each channel of each image (B, C, H, W) by its own mean and variance."""
    centered = x - x.mean((2, 3), keepdim=True)
    variance = centered.square().mean((2, 3), keepdim=True)
    return centered / (variance + EPS).sqrt() * weight[:, None, None] + bias[:, None, None]


def purohit(state: State, x: Tensor, frames: int) -> Tensor:
    """Frames (B, T, 3, H, W) of Purohit et al. (CVPR 2019), as in HyperCUT; a step starts at the last flow.

    Args:
        x: photo and middle frame (B, 6, H, W) with sides that 8 divides.
    """

    def leaky(x: Tensor) -> Tensor:
        return functional.leaky_relu(x, SLOPE)

    def doubled(x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2, mode="bilinear")

    def encoded(flow: Tensor) -> list[Tensor]:
        features = []
        for level, name in enumerate(numbered(state, "rvd.flow_encoder.model")):
            x = convolved(state, f"{name}.0", flow if level == 0 else features[-1], stride=2 if level else 1)
            inner = convolved(state, f"{name}.1.conv2", leaky(convolved(state, f"{name}.1.conv1", x)))
            features.append(leaky(x + inner))
        return features

    def decoded(features: list[Tensor], hidden: Tensor) -> list[Tensor]:
        flows: list[Tensor] = []
        for level, known in enumerate(reversed(features)):
            parts = [known, hidden]
            if level:
                hidden = leaky(
                    convolved(state, f"rvd.flow_decoder.deconvs.{level - 1}.conv", doubled(hidden))
                )
                parts = [known, hidden, 2 * doubled(flows[-1])]
            flows.append(convolved(state, f"rvd.flow_decoder.convs.{level}", torch.cat(parts, dim=1)))
        return flows

    motion = x
    for number, stride in enumerate((1, 1, 2, 1, 1, 2, 2)):
        motion = leaky(convolved(state, f"bie.model.{2 * number}", motion, stride))
    hidden, cell = motion, torch.zeros_like(motion)
    flow = torch.zeros_like(x[:, :2])
    moved = []
    for _ in range(frames):
        features = encoded(flow)
        gates = convolved(state, "rvd.conv_lstm.conv", torch.cat([features[-1], hidden], dim=1))
        taken, kept, given, new = gates.chunk(4, dim=1)
        cell = kept.sigmoid() * cell + taken.sigmoid() * new.tanh()
        hidden = given.sigmoid() * cell.tanh()
        flow = decoded(features, hidden)[-1]
        moved.append(warped(x[:, 3:], flow))
    return torch.stack(moved, dim=1)


def warped(image: Tensor, flow: Tensor) -> Tensor:
    """Each pixel of (B, C, H, W) between the four where the flow (B, 2, H, W), (x, y) in pixels, points."""
    height, width = image.shape[-2:]
    x = (torch.arange(width) + flow[:, 0]).clamp(0, width - 1)
    y = (torch.arange(height)[:, None] + flow[:, 1]).clamp(0, height - 1)
    left, top = x.detach().floor(), y.detach().floor()
    share_x, share_y = (x - left)[:, None], (y - top)[:, None]
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        places = (rows * width + columns).long().flatten(1)[:, None].expand(-1, image.shape[1], -1)
        return image.flatten(2).gather(2, places).view_as(image)

    above = (1 - share_x) * at(top, left) + share_x * at(top, right)
    below = (1 - share_x) * at(bottom, left) + share_x * at(bottom, right)
    return (1 - share_y) * above + share_y * below


def hypercut(state: State, clip: Tensor) -> Tensor:
    """Scores (B, T // 2) of the mirror pairs of clips (B, T, 3, H, W), by HyperCUT's network (CVPR 2023)."""

    def reflected(name: str, x: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        padded = functional.pad(x, [weight.shape[-1] // 2] * 4, mode="reflect")
        return functional.conv2d(padded, weight, state[f"{name}.bias"])

    def score(first: Tensor, last: Tensor) -> Tensor:
        x = functional.leaky_relu(reflected("f_func.model.1", torch.cat([first, last], dim=1)), 0.2)
        for layer in (3, 5, 7, 9, 11):
            x = functional.leaky_relu(convolved(state, f"f_func.model.{layer}", x, stride=2), 0.2)
        layer = 13
        while f"f_func.model.{layer}.conv_block.1.weight" in state:
            name = f"f_func.model.{layer}.conv_block"
            x = x + reflected(f"{name}.4", reflected(f"{name}.1", x).relu())
            layer += 1
        plane = state["hyperplane.hyperplane"]
        return (x.mean((2, 3)) * plane[:-1]).sum(1) + plane[-1]

    last = clip.shape[1] - 1
    return torch.stack([score(clip[:, i], clip[:, last - i]) for i in range(clip.shape[1] // 2)], dim=1)
