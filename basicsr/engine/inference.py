"""Running a network over images that are larger than it should see at once: overlapping windows, blended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.config.schema import ValOptions
from basicsr.engine.tiling import Tiling, Window
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
        overlap: least number of pixels that neighbors share. They are blended by a linear ramp of that
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
        x = inputs[0]
        tiling = Tiling((x.shape[-2], x.shape[-1]), (self.height, self.width), self.overlap)
        count = len(x)
        means = self._means(net, inputs)

        def run(windows: Sequence[Window]) -> Sequence[Tensor]:
            cut = [torch.cat([window.of(x) for window in windows]) for x in inputs]
            restored = net(*cut, *(table.repeat(len(windows), 1, 1) for table in means))
            return restored.float().split(count)

        at_once = max(1, (self.max_batch or len(tiling.windows) * count) // count)
        return torch.cat(list(tiling.blend(run, at_once)), dim=-2)

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
    (top, bottom), columns = net.size_rule.sides(height, width)
    sums: Tensor | float = 0.0
    areas: Tensor | float = 0.0
    for first in range(0, top + height + bottom, _STRIP):
        last = min(first + _STRIP, top + height + bottom)
        # Rows of the image; never too few to make those of them that are added.
        above = max(min(first - HALO - top, height - 1 - bottom), 0)
        below = min(max(last + HALO - top, 1 + top), height)
        x, labels = strip(above, below)
        added = (top if above == 0 else 0, bottom if below == height else 0)
        padded = net.size_rule.extend(x, added, columns)
        labels = nn.functional.pad(labels, (*columns, *added))
        own = slice(first - (above + top - added[0]), last - (above + top - added[0]))
        features = net.region_features(padded)[..., own, :]
        # In float64: the sums of a large region outgrow float32.
        more = region_sums(features.double(), labels[..., own, :], rows)
        sums, areas = sums + more[0], areas + more[1]
    assert isinstance(sums, Tensor) and isinstance(areas, Tensor)
    assert net.region_pool is not None
    return region_means(sums, areas, net.region_pool.mask_value).float()


def windows_of(options: ValOptions) -> Apply:
    """How ``val.grids``, ``val.tile`` and related options ask for a network to be run."""
    if options.grids:
        assert options.crop_size_h is not None and options.crop_size_w is not None
        return Windows(options.crop_size_h, options.crop_size_w, 0, options.max_minibatch)
    if options.tile is not None:
        batch = options.max_minibatch or 1
        return Windows(options.tile, options.tile, options.tile_overlap, batch, whole_means=True)
    return run_whole
