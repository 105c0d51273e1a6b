"""Check a weight file's description of its network against its weights, before memory is allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration

from basicsr.utils.errors import UserError
from basicsr.utils.tree import require_small_tree

_DEEPEST, _MOST_PARTS, _LARGEST_NUMBER = 16, 10_000, 1 << 20
# What a network may have beyond its weights in the file: names that are split on loading, buffers that are
# not stored, and modules without weights.
_MORE_TENSORS, _MORE_VALUES, _MORE_MODULES = 64, 1 << 24, 1024
_TENSORS_OF_ONE, _MODULES_OF_ONE = 4, 64


class _TooLargeError(Exception):
    """More than the weights have."""


def require_small_description(description: Mapping[str, Any], path: Path) -> None:
    """Check a weight file's description of its network before it is used.

    Raises:
        UserError: more than 10,000 parts, nested more than 16 deep, or a whole number beyond 2^20.
    """
    try:
        require_small_tree(description, _DEEPEST, _MOST_PARTS, _LARGEST_NUMBER)
    except ValueError as error:
        raise UserError(f"{path}: describes a network with {error}; fetch the file again") from error


def require_size_of(build: Callable[[], nn.Module], state: Mapping[str, Tensor], path: Path) -> None:
    """Build a network without memory for its weights, and compare it with those of the file.

    A network that cannot be built that way passes.

    Raises:
        UserError: it has far more weights.
        ValueError: as ``build``.
    """
    try:
        with torch.device("meta"), _counted(state):
            build()
    except _TooLargeError as error:
        what = f"describes a network with more {error} than its {len(state)} weights"
        raise UserError(
            f"{path}: {what}; the file is damaged or put together by hand, fetch it again"
        ) from None
    except (RuntimeError, NotImplementedError):  # a plugin whose constructor computes with its weights
        pass


@contextmanager
def _counted(state: Mapping[str, Tensor]) -> Iterator[None]:
    tensors = _TENSORS_OF_ONE * len(state) + _MORE_TENSORS
    values = 2 * sum(tensor.numel() for tensor in state.values()) + _MORE_VALUES
    modules = _MODULES_OF_ONE * len(state) + _MORE_MODULES

    def count_tensor(_: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal tensors, values
        tensors -= 1
        values -= 0 if tensor is None else tensor.numel()
        if tensors < 0:
            raise _TooLargeError("tensors")
        if values < 0:
            raise _TooLargeError("values")

    def count_module(_: nn.Module, name: str, inner: nn.Module | None) -> None:
        nonlocal modules
        modules -= 1
        if modules < 0:
            raise _TooLargeError("modules")

    with ExitStack() as hooks:
        hooks.enter_context(registration.register_module_parameter_registration_hook(count_tensor))
        hooks.enter_context(registration.register_module_buffer_registration_hook(count_tensor))
        hooks.enter_context(registration.register_module_module_registration_hook(count_module))
        yield
