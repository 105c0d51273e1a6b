"""Stochastic depth (Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv 1603.09382)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from basicsr.utils.convert import Share


class DropPath(nn.Module):
    """In training, drops a residual branch: for some samples of a batch it is zero.

    Args:
        rate: probability that a sample's branch is dropped. The others are divided by 1 - rate, which
            preserves the mean.
    """

    def __init__(self, rate: Share = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, ..) -> (B, ..)."""
        if not self.training or self.rate == 0:
            return branch
        kept = torch.full((len(branch), *[1] * (branch.ndim - 1)), 1 - self.rate, device=branch.device)
        return branch * (kept.bernoulli() / kept).to(branch.dtype)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
