"""Running a network over images that are larger than it should see at once: overlapping windows, blended."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.config.schema import ValOptions
from basicsr.layers.map_unit import HALO
from basicsr.masks.pooling import region_means, region_sums, table_rows
from basicsr.models.base import Apply, run_whole

# Rows of an image that are looked at together while region means are gathered.
_STRIP = 512


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
        whole_means: networks that take label maps get the region means of the whole image; otherwise a
            window only knows the part of a region that lies in it (as published).
    """

    height: int
    width: int
    overlap: int = 0
    max_batch: int | None = None
    whole_means: bool = False

    def __call__(self, net: RestorationNetwork, inputs: tuple[Tensor, ...]) -> Tensor:
        """Inputs that all end in (H, W) -> what ``net`` gives of them, (B, .., H, W)."""
        rows, columns = inputs[0].shape[-2:]
        height, width = min(self.height, rows), min(self.width, columns)
        tops, lefts = (
            window_starts(rows, height, self.overlap),
            window_starts(columns, width, self.overlap),
        )
        down = blend_weights(rows, height, tops, self.overlap).to(inputs[0].device)
        across = blend_weights(columns, width, lefts, self.overlap).to(inputs[0].device)
        places = list(product(range(len(tops)), range(len(lefts))))
        count = inputs[0].shape[0]
        means = self._means(net, inputs)
        total: Tensor | None = None
        chunk = max(1, (self.max_batch or len(places) * count) // count)
        for first in range(0, len(places), chunk):
            chosen = [(i, j, tops[i], lefts[j]) for i, j in places[first : first + chunk]]
            cut = [
                torch.cat([x[..., top : top + height, left : left + width] for _, _, top, left in chosen])
                for x in inputs
            ]
            parts = net(*cut, *(table.repeat(len(chosen), 1, 1) for table in means)).float().split(count)
            if total is None:
                total = parts[0].new_zeros(*parts[0].shape[:-2], rows, columns)
            for (i, j, top, left), part in zip(chosen, parts, strict=True):
                total[..., top : top + height, left : left + width] += part * down[i][:, None] * across[j]
        assert total is not None
        return total

    def _means(self, net: RestorationNetwork, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not self.whole_means or net.region_pool is None:
            return ()
        x, labels = inputs

        def strip(first: int, last: int) -> tuple[Tensor, Tensor]:
            return x[..., first:last, :], labels[..., first:last, :]

        return (image_means(net, strip, x.shape[-2], x.shape[-1], table_rows(labels)),)


def image_means(
    net: RestorationNetwork,
    strip: Callable[[int, int], tuple[Tensor, Tensor]],
    height: int,
    width: int,
    rows: int,
) -> Tensor:
    """Region means of a whole image, from strips of it: what ``net`` would compute from all of it at once.

    Args:
        net: a network that pools regions.
        strip: (first, last) row -> the network's image input (B, C, last - first, W) and label maps.
        height: of the image in pixels.
        width: of the image in pixels.
        rows: of the table; one more than the largest label.

    Returns:
        (B, C, rows) for the network's argument ``means``.
    """
    bottom, right = net.size_rule.missing(height, width)
    sums: Tensor | float = 0.0
    areas: Tensor | float = 0.0
    for first in range(0, height + bottom, _STRIP):
        last = min(first + _STRIP, height + bottom)
        # never without a row of the image, so that there is an edge to repeat
        above, below = max(min(first, height) - HALO, 0), min(last + HALO, height + bottom)
        x, labels = strip(above, min(below, height))
        missing = below - min(below, height)
        labels = nn.functional.pad(labels, (0, right, 0, missing))
        padded = net.size_rule.extend(x, missing, right)
        features = net.region_features(padded)[..., first - above : last - above, :]
        # In float64: the sums of a large region outgrow float32.
        more = region_sums(features.double(), labels[..., first - above : last - above, :], rows)
        sums, areas = sums + more[0], areas + more[1]
    assert isinstance(sums, Tensor) and isinstance(areas, Tensor)
    assert net.region_pool is not None
    return region_means(sums, areas, net.region_pool.mask_value).float()


def window_starts(length: int, window: int, overlap: int) -> list[int]:
    """Starts of the fewest windows that cover ``length`` and share ``overlap`` pixels, spread evenly."""
    if window >= length:
        return [0]
    count = math.ceil((length - overlap) / (window - overlap))
    step = math.ceil((length - window) / (count - 1))
    return [min(index * step, length - window) for index in range(count)]


def blend_weights(length: int, window: int, starts: Sequence[int], overlap: int) -> Tensor:
    """Weights (windows, window) along one side: linear ramps over ``overlap``; those of a pixel sum to 1."""
    position = torch.arange(1, window + 1, dtype=torch.float32)
    ramp = (torch.minimum(position, window + 1 - position) / (overlap + 1)).clamp(max=1)
    total = torch.zeros(length)
    for start in starts:
        total[start : start + window] += ramp
    return torch.stack([ramp / total[start : start + window] for start in starts])


def windows_of(options: ValOptions) -> Apply:
    """How ``val.grids``, ``val.tile`` and their companions ask for a network to be run."""
    if options.grids:
        assert options.crop_size_h is not None and options.crop_size_w is not None
        return Windows(options.crop_size_h, options.crop_size_w, 0, options.max_minibatch)
    if options.tile is not None:
        batch = options.max_minibatch or 1
        return Windows(options.tile, options.tile, options.tile_overlap, batch, whole_means=True)
    return run_whole
