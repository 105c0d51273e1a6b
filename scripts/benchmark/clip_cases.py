"""The networks of clips, each beside a plain formulation with the same weights, in several sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from clip_references import hypercut, jin, purohit
from network_cases import beside_plain, build, drawn
from network_references import Plain
from sides import Case, Sides, example
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork, build_network
from basicsr.archs.ordering import OrderingNetwork, mirror_scores

Options = Mapping[str, Any]
MOTION = 4  # pixels that the photo is shifted from frame to frame


@dataclass(frozen=True)
class Size:
    """Options of the networks, and of the one that makes Purohit's middle frame of a lone photo."""

    jin: Options
    purohit: Options
    ordering: Options
    middle: Options


SIZES = {
    "tiny": Size(
        jin={
            "center_width": 8, "side_width": 8, "center_blocks": 1, "near_blocks": 1, "far_blocks": 1,
            "center_global": 4, "side_global": 4,
        },
        purohit={"width": 4, "flow_widths": (3, 4, 5)},
        ordering={"out_dim": 8, "width": 4, "num_blocks": 1},
        middle={"width": 4, "enc_blk_nums": [1], "middle_blk_num": 1, "dec_blk_nums": [1]},
    ),
    "small": Size(
        jin={
            "center_width": 32, "side_width": 32, "center_blocks": 1, "near_blocks": 1, "far_blocks": 1,
            "center_global": 16, "side_global": 8,
        },
        purohit={"width": 16, "flow_widths": (8, 16, 32)},
        ordering={"out_dim": 64, "width": 16, "num_blocks": 2},
        middle={"width": 16, "enc_blk_nums": [1, 1, 2, 16], "middle_blk_num": 2, "dec_blk_nums": [1] * 4},
    ),
    "published": Size(
        jin={},
        purohit={},
        ordering={},
        middle={"width": 16, "enc_blk_nums": [1, 1, 2, 16], "middle_blk_num": 2, "dec_blk_nums": [1] * 4},
    ),
}  # fmt: skip


class Scores(nn.Module):
    """An ordering network as a function of clips."""

    def __init__(self, net: OrderingNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, clip: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T // 2)."""
        return mirror_scores(self.net, clip)


def example_with_middle(side: int) -> Tensor:
    """Photo and middle frame (1, 6, side, side)."""
    return example_clip(side, 3)[:, :2].flatten(1, 2)


def example_clip(side: int, frames: int = 7) -> Tensor:
    """A photo that moves from frame to frame, (1, frames, 3, side, side)."""
    wide = example(side + MOTION * frames)
    return torch.stack([wide[..., :side, MOTION * i : MOTION * i + side] for i in range(frames)], dim=1)


def cases(size_name: str) -> dict[str, Case]:
    """By name; see `SIZES`."""
    size = SIZES[size_name]
    return {
        "jin": Case("Jin", size_name, "plain, color by color", partial(_jin, size)),
        "purohit": Case(
            "Purohit", f"{size_name}, 7 frames", "plain", partial(_purohit, size, 7), example_with_middle
        ),
        "ordering": Case(
            "HyperCUTNet",
            f"{size_name}, pairs of a clip",
            "plain, pair by pair",
            partial(_ordering, size),
            example_clip,
        ),
    }


def of_photos(size_name: str) -> dict[str, RestorationNetwork]:
    """Networks that make a clip of a lone photo, by name; Purohit's with one that makes its middle frame."""
    size = SIZES[size_name]
    middle = {"type": "NAFNet", **size.middle}
    return {"jin": build("Jin", size.jin), "purohit": build("Purohit", {**size.purohit, "middle": middle})}


def lengths(size_name: str) -> dict[str, Callable[[int, int], tuple[nn.Module, Tensor]]]:
    """By name a function: frames of a clip, and side of a frame -> our network and what it takes.

    Jin's makes 7 frames, whatever is asked for.
    """
    size = SIZES[size_name]
    return {
        "jin": lambda frames, side: (_jin(size).ours, example(side)),
        "purohit": lambda frames, side: (_purohit(size, frames).ours, example_with_middle(side)),
        "ordering": lambda frames, side: (_ordering(size).ours, example_clip(side, frames)),
    }


def _jin(size: Size) -> Sides:
    net = build("Jin", size.jin)
    return beside_plain(net, drawn(net.state_dict()), lambda state, x, _: jin(state, x))


def _purohit(size: Size, frames: int) -> Sides:
    net = build("Purohit", {**size.purohit, "frames": frames})
    return beside_plain(net, drawn(net.state_dict()), lambda state, x, _: purohit(state, x, frames))


def _ordering(size: Size) -> Sides:
    net = build_network({"type": "HyperCUTNet", **size.ordering})
    assert isinstance(net, OrderingNetwork)
    state = drawn(net.state_dict())
    net.load_state_dict(state)
    return Sides(Scores(net), Plain(lambda state, x, _: hypercut(state, x), state))
