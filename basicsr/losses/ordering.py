"""Losses on the scores of an ordering network, which tell which frames of a clip come first.

Pham et al., "HyperCUT: Video Sequence from a Single Blurry Image using Unsupervised Ordering" (CVPR 2023).
Scores are (B, P), one per mirror pair, the outermost first; see `basicsr.archs.ordering`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from basicsr.utils.errors import require_choice
from basicsr.utils.registry import LOSSES

Side = Literal["canonical", "published"]

_TOWARDS: dict[Side, float] = {"canonical": 1.0, "published": -1.0}


@LOSSES.register
class OrderingLoss(nn.Module):
    """The training loss of an ordering network, without labels.

    0.5 * mean softplus(u_k v_k) + 0.5 * mean softplus(-u_k u_l): a pair (u) and the swapped pair (v) should
    lie on opposite sides, all pairs k < l of a clip on the same side.

    Args:
        loss_weight: factor.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, scores: Tensor, swapped: Tensor) -> Tensor:
        """Scores (B, P) of pairs and of swapped pairs -> scalar. A single pair has only the first term."""
        u, v = scores.float(), swapped.float()
        differ = softplus(u * v).mean()
        count = u.shape[1]
        agree = [softplus(-u[:, k] * u[:, j]).mean() for k in range(count) for j in range(k + 1, count)]
        same = torch.stack(agree).mean() if agree else differ.new_zeros(())
        return self.loss_weight * 0.5 * (differ + same)


@LOSSES.register
class HyperCUTLoss(nn.Module):
    """Pushes the frames that a network predicts to one side of the hyperplane; summed over the pairs.

    Args:
        loss_weight: factor, alpha in the paper.
        side: ``canonical`` pushes scores above 0, where `order_frames` puts the frames of data sets.
            ``published`` pushes them below.

    Raises:
        ValueError: if ``side`` is unknown.
    """

    def __init__(self, loss_weight: float = 0.2, side: Side = "canonical") -> None:
        super().__init__()
        require_choice("side", side, _TOWARDS)
        self.loss_weight = loss_weight
        self.towards = _TOWARDS[side]

    def forward(self, scores: Tensor) -> Tensor:
        """Scores (B, P) of the predicted pairs -> scalar."""
        return self.loss_weight * softplus(-self.towards * scores.float()).sum(1).mean()
