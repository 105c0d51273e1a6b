"""Losses on clips, sensitive to the order of the frames or not.

``pred`` and ``target`` are (B, T, 3, H, W). If a network returns its clips at several ``scales`` (B, T, 3,
H / 2^k, W / 2^k), finest first, the loss is the mean over them; each coarser target is every second pixel of
the finer one. Everything is computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.losses.pixel import charbonnier_distance, difference
from basicsr.utils.errors import require_choice
from basicsr.utils.registry import LOSSES

Frames = Literal["mean", "sum"]


class ClipLoss(nn.Module):
    """A penalty per clip, averaged over scales.

    Args:
        loss_weight: factor.
        frames: ``mean`` or ``sum`` over the frames.

    Raises:
        ValueError: if ``frames`` is unknown.
    """

    def __init__(self, loss_weight: float, frames: Frames) -> None:
        super().__init__()
        require_choice("frames", frames, ("mean", "sum"))
        self.loss_weight = loss_weight
        self.frames = frames

    def penalty(self, pred: Tensor, target: Tensor) -> Tensor:
        """The sum over the frames of two clips of the same size."""
        raise NotImplementedError

    def forward(self, pred: Tensor, target: Tensor, scales: Sequence[Tensor] | None = None) -> Tensor:
        """Scalar.

        Raises:
            ValueError: if the shapes differ.
        """
        if pred.ndim != 5:
            raise ValueError(f"a loss on clips (B, T, 3, H, W) got {tuple(pred.shape)}")
        clips = [pred, *(scales or ())[1:]]
        total = pred.new_zeros((), dtype=torch.float32)
        for clip in clips:
            height, width = target.shape[-2:]
            # scales are those of the padded image
            total = total + self.penalty(clip[..., :height, :width], target)
            target = target[..., ::2, ::2]
        count = pred.shape[1] if self.frames == "mean" else 1
        return self.loss_weight * total / (len(clips) * count)


@LOSSES.register
class ClipCharbonnierLoss(ClipLoss):
    """sqrt(d^2 + eps^2) of each frame in the order of the targets ("naive" in HyperCUT).

    Args:
        loss_weight: factor.
        frames: ``mean`` over the frames, or their ``sum``, as in Purohit's form in HyperCUT.
        eps: smooths the loss around 0.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        frames: Frames = "mean",
        eps: Annotated[float, Meta(gt=0)] = 1e-3,
    ) -> None:
        super().__init__(loss_weight, frames)
        self.eps = eps

    def penalty(self, pred: Tensor, target: Tensor) -> Tensor:
        return pred.shape[1] * charbonnier_distance(pred, target, self.eps)


@LOSSES.register
class OrderInvariantLoss(ClipLoss):
    """Compares sums and differences of mirror pairs, which do not change when a clip is reversed.

    Jin et al., "Learning to Extract a Video Sequence from a Single Motion-Blurred Image" (CVPR 2018): for
    frames i and T - 1 - i, MSE of their sums and MSE of the magnitudes of their differences.

    Args:
        loss_weight: factor.
        frames: ``mean``: the sum over all pairs, divided by the number of frames; or the ``sum``.
        supervise_center: also compare the middle frame, by twice its MSE, which is the weight of each frame
            of a pair.
        compat: ``published`` compares the magnitudes of sums as well, which hides their sign if images are
            normalized; ``mended`` compares the sums.

    Raises:
        ValueError: if ``frames`` or ``compat`` is unknown.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        frames: Frames = "mean",
        supervise_center: bool = True,
        compat: Literal["published", "mended"] = "mended",
    ) -> None:
        super().__init__(loss_weight, frames)
        require_choice("compat", compat, ("published", "mended"))
        self.supervise_center = supervise_center
        self.compat = compat

    def penalty(self, pred: Tensor, target: Tensor) -> Tensor:
        half = pred.shape[1] // 2
        (sums, gaps), (wanted_sums, wanted_gaps) = _mirrored(pred, half), _mirrored(target, half)
        if self.compat == "published":
            sums, wanted_sums = sums.abs(), wanted_sums.abs()
        total = half * difference(sums, wanted_sums).square().mean()
        total = total + half * difference(gaps.abs(), wanted_gaps.abs()).square().mean()
        if self.supervise_center and pred.shape[1] % 2:
            total = total + 2 * difference(pred[:, half], target[:, half]).square().mean()
        return total


@LOSSES.register
class FlowMagnitudeLoss(nn.Module):
    """Mean magnitude of the components of flow vectors, over all scales (Purohit's form in HyperCUT).

    Args:
        loss_weight: factor, mu.
    """

    def __init__(self, loss_weight: float = 0.02) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, flows: Sequence[Tensor]) -> Tensor:
        """Flows (B, T, 2, h, w) at each scale -> scalar."""
        return self.loss_weight * torch.stack([flow.float().abs().mean() for flow in flows]).mean()


def _mirrored(clip: Tensor, half: int) -> tuple[Tensor, Tensor]:
    """Sums and differences (B, half, 3, H, W) of the pairs (first, last), (second, last but one), .."""
    first, last = clip[:, :half].float(), clip.flip(1)[:, :half].float()
    return first + last, first - last
