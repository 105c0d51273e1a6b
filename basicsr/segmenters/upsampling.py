"""Evaluates a decoder's small logits at the size of the photo, without enlarging them.

SAM's decoder returns logits of 256x256 for a padded square. Its masks are the positive logits after two
bilinear upsamplings: to the square, and, without the padding, to the photo. An upsampled logit is a weighted
mean of neighboring small ones, so it lies between the least and the greatest of them. If both lie between the
same two thresholds, so does every pixel. What remains are the cells that a threshold crosses, mostly along
the outline of the mask; only their pixels are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

# Pixels computed at once: few enough for a CPU's cache, enough to fill a GPU.
_PIXELS_ON_CPU, _PIXELS_ON_GPU = 1 << 19, 1 << 24


@dataclass(frozen=True)
class Frame:
    """Position of the photo in a decoder's output.

    Args:
        side: of the output.
        padded: side of the input square of the network.
        used: (height, width) of the photo in that square, at its top left.
        size: (height, width) of the photo.
    """

    side: int
    padded: int
    used: tuple[int, int]
    size: tuple[int, int]


class Upsampling:
    """Reads logits (N, side, side), float32, as if they were upsampled to a photo (N, height, width).

    Results equal those of two bilinear `torch.nn.functional.interpolate` up to rounding.
    """

    def __init__(self, frame: Frame, device: torch.device) -> None:
        self.size = frame.size
        self._y, self._x = (
            _axis(frame.side, frame.padded, used, size, device)
            for used, size in zip(frame.used, frame.size, strict=True)
        )

    def prepare(self, logits: Tensor) -> Tensor:
        """(N, side, side) -> (N, h, w) for the other methods: edges repeated, without the padding."""
        reached = logits[:, None, : self._y.samples, : self._x.samples].float()
        return functional.pad(reached, (*self._x.padding, *self._y.padding), mode="replicate")[:, 0]

    def count(self, logits: Tensor, thresholds: list[float]) -> Tensor:
        """Prepared logits (N, h, w) -> (N, T) int64: pixels above each of the ascending thresholds."""
        low, crossed = self._classify(logits, thresholds)
        areas = (self._y.counts[:, None] * self._x.counts).int()
        decided = low.masked_fill(crossed, 0)
        totals = torch.stack([((decided > i) * areas).sum((1, 2)) for i in range(len(thresholds))], dim=1)
        for (mask, _, _), values in self._values(logits, crossed):
            for i, threshold in enumerate(thresholds):
                totals[:, i].index_add_(0, mask, (values > threshold).sum((0, 1)))
        return totals

    def boxes(self, logits: Tensor, threshold: float) -> Tensor:
        """Prepared logits (N, h, w) -> (N, 4) int64: left, top, right, bottom pixel above the threshold; 0 if
        there is none.
        """
        low, crossed = self._classify(logits, [threshold])
        inside = (low > 0) & ~crossed
        rows = inside[:, :, self._x.counts > 0].any(2)[:, self._y.cell]
        columns = inside[:, self._y.counts > 0].any(1)[:, self._x.cell]
        for (mask, y, x), values in self._values(logits, crossed):
            above = values > threshold
            _mark(rows, mask, self._y.first_pixel[y], above.any(1))
            _mark(columns, mask, self._x.first_pixel[x], above.any(0))
        return line_boxes(rows, columns)

    def masks(self, logits: Tensor, threshold: float) -> Tensor:
        """Prepared logits (N, h, w) -> bool (N, height, width): pixels above the threshold."""
        low, crossed = self._classify(logits, [threshold])
        # columns first, so that whole rows are copied
        painted = (low > 0).index_select(2, self._x.cell).index_select(1, self._y.cell)
        height, width = self.size
        flat = painted.view(-1)
        for (mask, y, x), values in self._values(logits, crossed):
            rows = self._y.first_pixel[y] + torch.arange(len(values), device=y.device)[:, None]
            columns = self._x.first_pixel[x] + torch.arange(values.shape[1], device=x.device)[:, None]
            places = ((mask * height + rows) * width)[:, None] + columns
            real = values > -torch.inf
            flat[places[real]] = values[real] > threshold
        return painted

    def _classify(self, logits: Tensor, thresholds: list[float]) -> tuple[Tensor, Tensor]:
        """For each cell: number of thresholds below its least logit; whether more are below its greatest."""
        level = torch.zeros(logits.shape, dtype=torch.uint8, device=logits.device)
        for threshold in thresholds:
            level += logits > threshold
        low = high = level
        for dim, axis in ((1, self._y), (2, self._x)):
            low = _over_window(torch.minimum, low, dim, axis)
            high = _over_window(torch.maximum, high, dim, axis)
        return low, low != high

    def _values(self, logits: Tensor, crossed: Tensor) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """For chunks of K crossed cells: their (mask, row, column), and the logits of their pixels.

        The logits are (rows, columns, K); positions without a pixel are minus infinity.
        """
        height, width = logits.shape[1:]
        flat = logits.reshape(-1)
        taps_y, taps_x = len(self._y.weights), len(self._x.weights)
        near = torch.arange(taps_y, device=flat.device)[:, None] * width
        near = near + torch.arange(taps_x, device=flat.device)
        pixels = _PIXELS_ON_CPU if flat.device.type == "cpu" else _PIXELS_ON_GPU
        cells = max(1, pixels // (len(self._y.missing) * len(self._x.missing)))
        for chunk in crossed.nonzero().split(cells):
            mask, y, x = chunk.T.contiguous()
            samples = flat[(mask * height + y) * width + x + near[..., None]]
            weights_y, weights_x = self._y.weights[:, :, y], self._x.weights[:, :, x]
            columns = samples[:, :1] * weights_x[0]
            for tap in range(1, taps_x):
                columns.addcmul_(samples[:, tap, None], weights_x[tap])
            values = self._y.missing[:, None, y] + self._x.missing[:, x]
            for tap in range(taps_y):
                values.addcmul_(weights_y[tap][:, None], columns[tap])
            yield (mask, y, x), values


@dataclass(frozen=True)
class _Axis:
    """One axis. A cell holds the pixels that start at the same sample; ``taps`` samples suffice for them.

    Args:
        samples: number of small logits that affect the photo.
        padding: repeated logits before and after, so that cell c reads positions c to c + taps - 1.
        weights: (taps, pixels, cells) of the pixels of each cell; cells with fewer pixels have zeros.
        missing: (pixels, cells), minus infinity at those, else 0.
        counts: (cells) number of pixels.
        first_pixel: (cells) where they start.
        cell: (size) the cell of each pixel.
    """

    samples: int
    padding: tuple[int, int]
    weights: Tensor
    missing: Tensor
    counts: Tensor
    first_pixel: Tensor
    cell: Tensor


def _axis(side: int, padded: int, used: int, size: int, device: torch.device) -> _Axis:
    # Interpolating each sample alone gives its weight in every pixel, with the rounding of interpolation.
    square = functional.interpolate(torch.eye(side)[None], size=padded, mode="linear")
    weights = functional.interpolate(square[..., :used], size=size, mode="linear")[0].T
    reached = weights != 0
    first, last = reached.int().argmax(1), side - 1 - reached.flip(1).int().argmax(1)
    # Pixels before the first sample copy it. In a separate cell, so that no cell is larger than the others.
    first[last == 0] = -1
    taps, samples = int((last - first).max()) + 1, int(last.max()) + 1
    cell = first + 1
    counts = torch.bincount(cell, minlength=samples + 1)
    first_pixel = counts.cumsum(0) - counts
    offset = torch.arange(int(counts.max()))[:, None]
    missing = torch.where(offset < counts, 0.0, -torch.inf)
    pixel = (first_pixel + offset).clamp(max=size - 1)
    around = functional.pad(weights, (1, taps))
    places = torch.arange(samples + 1) + torch.arange(taps)[:, None]
    of_cells = around[pixel, places[:, None]].masked_fill(missing < 0, 0.0)
    tensors = (of_cells, missing, counts, first_pixel, cell)
    return _Axis(samples, (1, taps - 1), *(tensor.to(device) for tensor in tensors))


def _over_window(extreme: Callable[[Tensor, Tensor], Tensor], level: Tensor, dim: int, axis: _Axis) -> Tensor:
    shifted = [level.narrow(dim, tap, len(axis.counts)) for tap in range(len(axis.weights))]
    return reduce(extreme, shifted)


def _mark(lines: Tensor, mask: Tensor, first_pixel: Tensor, above: Tensor) -> None:
    """Set line ``first_pixel + i`` of ``mask`` in ``lines`` (N, size) where ``above`` (i, K)."""
    offset, cell = above.nonzero(as_tuple=True)
    lines[mask[cell], first_pixel[cell] + offset] = True


def line_boxes(rows: Tensor, columns: Tensor) -> Tensor:
    """Which rows (N, height) and columns (N, width) a mask touches -> (N, 4): left, top, right, bottom."""
    edges = [_first(columns), _first(rows), _last(columns), _last(rows)]
    return torch.stack(edges, dim=1) * rows.any(1)[:, None]


def _first(lines: Tensor) -> Tensor:
    return lines.int().argmax(1)


def _last(lines: Tensor) -> Tensor:
    return lines.shape[1] - 1 - _first(lines.flip(1))
