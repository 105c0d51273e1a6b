"""TLC, the test-time local converter (Chu et al., ECCV 2022, arXiv 2112.04491)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from basicsr.layers.padding import repeat_edge

# The window at train_size 256 is 384 pixels (published).
_WINDOW_RATIO = 1.5
_LARGEST_CROP = 1 << 20


class GlobalAvgPool2d(nn.AdaptiveAvgPool2d):
    """Mean over the whole image, (B, C, H, W) -> (B, C, 1, 1), which `to_local` can make local.

    Other average pools are left unchanged: after some of them, a layer needs a single value per channel.
    """

    def __init__(self) -> None:
        super().__init__(1)


class LocalAvgPool2d(nn.Module):
    """Mean over a window around each pixel; replaces a `GlobalAvgPool2d`.

    Args:
        window: height and width in pixels of the feature map. If it covers the whole map, this is the global
            mean.
    """

    def __init__(self, window: tuple[int, int]) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), or (B, C, 1, 1) if the window covers the map.

        Means are computed at valid positions only and replicated to the border, (n - valid) // 2 of them at
        the left and top.
        """
        height, width = x.shape[-2:]
        # An exported graph has no branches: dynamic sizes take the general path, with the same result.
        sizes_are_free = isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt)
        if not sizes_are_free and self.window[0] >= height and self.window[1] >= width:
            return x.mean((2, 3), keepdim=True)
        rows, columns = (
            cast(int, torch.sym_min(most, size))
            for most, size in zip(self.window, (height, width), strict=True)
        )
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        means = _sliding_mean(_sliding_mean(wide, rows, 2), columns, 3)
        top, left = (height - means.shape[2]) // 2, (width - means.shape[3]) // 2
        bottom, right = height - means.shape[2] - top, width - means.shape[3] - left
        return repeat_edge(means, bottom, right, top, left).to(x.dtype)

    def extra_repr(self) -> str:
        return f"window={self.window}"


def _sliding_mean(x: Tensor, length: int, dim: int) -> Tensor:
    """Means of ``length`` neighbors along ``dim``; sums along one line stay small enough for float32."""
    sums = nn.functional.pad(x, (0, 0, 1, 0) if dim == 2 else (1, 0, 0, 0)).cumsum(dim)
    valid = x.shape[dim] - length + 1
    return (sums.narrow(dim, length, valid) - sums.narrow(dim, 0, valid)) / length


def to_local(net: nn.Module, train_size: Sequence[int]) -> None:
    """Replace every `GlobalAvgPool2d` of ``net`` with a `LocalAvgPool2d`, in place.

    A network on the meta device, which is only looked at, keeps its global pooling: running it there takes
    PyTorch a second to prepare.

    Args:
        net: a network with an ``example_inputs(height, width)`` method.
        train_size: (1, C, H, W) of the training crops; windows are 1.5 times as large.

    Raises:
        ValueError: if crops have more than 2^20 pixels; the network runs once on a crop.
    """
    height, width = train_size[-2:]
    if height * width > _LARGEST_CROP:
        found = f"crops of {width} x {height} pixels have more than 2^20"
        raise ValueError(f"train_size: {found}; use smaller ones")
    if any(parameter.is_meta for parameter in net.parameters()):
        return
    pools = {name: module for name, module in net.named_modules() if isinstance(module, GlobalAvgPool2d)}
    sizes: dict[nn.Module, tuple[int, int]] = {}

    def note_size(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[module] = (inputs[0].shape[-2], inputs[0].shape[-1])

    hooks = [pool.register_forward_pre_hook(note_size) for pool in pools.values()]
    was_training = net.training
    with torch.no_grad():
        net.eval()(*net.example_inputs(height, width))  # type: ignore[operator]
    net.train(was_training)
    for hook in hooks:
        hook.remove()
    for name, pool in pools.items():
        window = tuple(
            size * int(_WINDOW_RATIO * train) // train
            for size, train in zip(sizes[pool], (height, width), strict=True)
        )
        parent, _, child = name.rpartition(".")
        setattr(net.get_submodule(parent), child, LocalAvgPool2d((window[0], window[1])))
