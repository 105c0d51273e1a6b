"""Reading names and shapes of weights, for networks that recognize their own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def convolution(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """Shape of the weights of a convolution; empty if there is none of that name."""
    tensor = state.get(name)
    return tuple(tensor.shape) if tensor is not None and tensor.ndim == 4 and tensor.numel() else ()


def count_children(state: Mapping[str, Tensor], parent: str) -> int:
    """Number of children of ``parent`` that have weights: ``parent.0.*``, ``parent.1.*``, .."""
    prefix = f"{parent}."
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})
