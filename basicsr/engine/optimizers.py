"""Optimizers by their names in option files. Arguments are PyTorch's; defaults too.

Those that PyTorch has as one kernel use it: networks of many small parameters, such as NAFNet, would spend
much of a training step on a CPU in single operations.
"""

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
    params = list(params)
    return torch.optim.AdamW(
        params, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, fused=_has_kernel(params)
    )


@OPTIMIZERS.register
def Adam(  # noqa: N802
    params: Params,
    lr: Rate,
    weight_decay: Rate = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """Adam."""
    params = list(params)
    return torch.optim.Adam(
        params, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, fused=_has_kernel(params)
    )


@OPTIMIZERS.register
def SGD(  # noqa: N802
    params: Params, lr: Rate, momentum: Rate = 0.0, weight_decay: Rate = 0.0, nesterov: bool = False
) -> torch.optim.Optimizer:
    """Stochastic gradient descent."""
    params = list(params)
    return torch.optim.SGD(
        params,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=nesterov,
        fused=_has_kernel(params),
    )


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


def _has_kernel(params: Iterable[torch.nn.Parameter]) -> bool:
    return all(param.device.type in ("cpu", "cuda") for param in params)
