"""Networks that tell in which direction of time the frames of a clip run."""

from __future__ import annotations

import torch
from torch import Tensor

from basicsr.archs.base import Network


class OrderingNetwork(Network):
    """Two frames of a clip -> a score whose sign tells which of them came first.

    ``forward`` takes (B, 6, H, W), two RGB frames concatenated by channel, of any size, and returns scores
    (B,). Scores of at least 0 are the canonical side. A trained network gives a pair and the swapped pair
    opposite signs, and all mirror pairs of a clip the same sign.
    """

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Zeros of the shapes that ``forward`` takes, batch 1."""
        like = next(self.parameters())
        return (torch.zeros(1, 6, height, width, device=like.device, dtype=like.dtype),)


def mirror_scores(net: OrderingNetwork, clip: Tensor) -> Tensor:
    """Scores of the mirror pairs (first, last), (second, last but one), .. of clips, as they are.

    Args:
        clip: (B, T, 3, H, W), as ``net`` takes frames; with an odd number, the middle frame is in no pair.

    Returns:
        (B, T // 2), the outermost pair first.
    """
    half = clip.shape[1] // 2
    pairs = torch.cat([clip[:, :half], clip.flip(1)[:, :half]], dim=2)
    scores: Tensor = net(pairs.flatten(0, 1))
    return scores.unflatten(0, (-1, half))


def both_scores(net: OrderingNetwork, clip: Tensor) -> tuple[Tensor, Tensor]:
    """`mirror_scores` of clips as they are, and of the swapped pairs."""
    there, back = mirror_scores(net, torch.cat([clip, clip.flip(1)])).chunk(2)
    return there, back


def directions(scores: Tensor) -> Tensor:
    """Scores of mirror pairs (B, P) -> direction of clips: 1 canonical, -1 reversed, 0 if they disagree."""
    canonical = scores >= 0
    return canonical.all(-1).int() - (~canonical).all(-1).int()
