"""Optimizers by their names in option files. Arguments are PyTorch's; defaults too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from msgspec import Meta

from basicsr.utils.registry import OPTIMIZERS

Params = Iterable[torch.nn.Parameter]
Rate = Annotated[float, Meta(ge=0)]


@OPTIMIZERS.register
def AdamW(  # noqa: N802 - the name that option files use
    params: Params,
    lr: Rate,
    weight_decay: Rate = 1e-2,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay."""
    return torch.optim.AdamW(params, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps)


@OPTIMIZERS.register
def Adam(  # noqa: N802
    params: Params,
    lr: Rate,
    weight_decay: Rate = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """Adam."""
    return torch.optim.Adam(params, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps)


@OPTIMIZERS.register
def SGD(  # noqa: N802
    params: Params, lr: Rate, momentum: Rate = 0.0, weight_decay: Rate = 0.0, nesterov: bool = False
) -> torch.optim.Optimizer:
    """Stochastic gradient descent."""
    return torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)


@OPTIMIZERS.register
def Adamax(  # noqa: N802
    params: Params,
    lr: Rate,
    weight_decay: Rate = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """Adam with the largest gradient so far in place of the mean square."""
    return torch.optim.Adamax(params, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps)
