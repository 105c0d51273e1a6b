"""Running a network over images that are larger than it should see at once: overlapping windows, blended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from basicsr.config.schema import ValOptions
from basicsr.models.base import Apply, run_whole


@dataclass(frozen=True)
class Windows:
    """An `Apply` that cuts every input into windows, runs the network on them and blends the results.

    Args:
        height: of a window in pixels; a smaller image is one window.
        width: of a window in pixels.
        overlap: least number of pixels that neighbours share. They are blended by a linear ramp of that
            length; with 0 the windows are spread evenly and the pixels that they share all the same are
            averaged ("grids", as published).
        max_batch: windows in one forward pass; None is all.
    """

    height: int
    width: int
    overlap: int = 0
    max_batch: int | None = None

    def __call__(self, net: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Inputs that all end in (H, W) -> (B, C, H, W)."""
        rows, columns = inputs[0].shape[-2:]
        height, width = min(self.height, rows), min(self.width, columns)
        places = list(
            product(window_starts(rows, height, self.overlap), window_starts(columns, width, self.overlap))
        )
        weights = _blend_weights(height, width, self.overlap).to(inputs[0].device)
        count = inputs[0].shape[0]
        total, weight = None, torch.zeros(rows, columns, device=inputs[0].device)
        chunk = max(1, (self.max_batch or len(places) * count) // count)
        for first in range(0, len(places), chunk):
            chosen = places[first : first + chunk]
            cut = [
                torch.cat([x[..., top : top + height, left : left + width] for top, left in chosen])
                for x in inputs
            ]
            parts = net(*cut).float().split(count)
            if total is None:
                total = parts[0].new_zeros(count, parts[0].shape[1], rows, columns)
            for (top, left), part in zip(chosen, parts, strict=True):
                total[..., top : top + height, left : left + width] += part * weights
                weight[top : top + height, left : left + width] += weights
        assert total is not None
        return total / weight


def window_starts(length: int, window: int, overlap: int) -> list[int]:
    """Starts of the fewest windows that cover ``length`` and share ``overlap`` pixels, spread evenly."""
    if window >= length:
        return [0]
    count = math.ceil((length - overlap) / (window - overlap))
    step = math.ceil((length - window) / (count - 1))
    return [min(index * step, length - window) for index in range(count)]


def windows_of(options: ValOptions) -> Apply:
    """How ``val.grids``, ``val.tile`` and their companions ask for a network to be run."""
    if options.grids:
        assert options.crop_size_h is not None and options.crop_size_w is not None
        return Windows(options.crop_size_h, options.crop_size_w, 0, options.max_minibatch)
    if options.tile is not None:
        return Windows(options.tile, options.tile, options.tile_overlap, options.max_minibatch or 1)
    return run_whole


def _blend_weights(height: int, width: int, overlap: int) -> Tensor:
    def ramp(length: int) -> Tensor:
        position = torch.arange(1, length + 1, dtype=torch.float32)
        return (torch.minimum(position, length + 1 - position) / (overlap + 1)).clamp(max=1)

    return ramp(height)[:, None] * ramp(width)
