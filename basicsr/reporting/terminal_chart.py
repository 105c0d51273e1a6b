"""Line charts as characters: eight dots of Braille in each, or ASCII where a terminal has no others."""

from __future__ import annotations

import itertools

import numpy as np

from basicsr.reporting.line_chart import Panel

_LABEL = 10  # characters of the numbers on the left
_ACROSS, _DOWN = 2, 4  # dots of a character
# Bits of the dots of a character, by row and column (Unicode, block Braille Patterns).
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BLANK = 0x2800


def draw(panel: Panel, width: int, height: int, plain: bool = False) -> list[str]:
    """Lines of text: a title, ``height`` rows of the chart, and the range of iterations below it.

    All lines of the panel are drawn in one chart. Each is at most ``width`` characters long.

    Args:
        width: at least 24 characters.
        height: at least 2 rows.
        plain: ASCII alone.

    Raises:
        ValueError: the chart is smaller, or the panel has no points.
    """
    points = [point for line in panel.lines.values() for point in line]
    if not points or width < 24 or height < 2:
        raise ValueError(f"a chart of {len(points)} points in {width} x {height} characters")
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    columns = width - _LABEL - 2
    dots = np.zeros((height * _DOWN, columns * _ACROSS), bool)
    for line in panel.lines.values():
        places = [
            (_place(x, left, right, dots.shape[1]), dots.shape[0] - 1 - _place(y, low, high, dots.shape[0]))
            for x, y in line
        ]
        _join(dots, places)
    rows = dots.reshape(height, _DOWN, columns, _ACROSS).transpose(0, 2, 1, 3)
    codes = (rows * _BITS).sum((2, 3))
    names = f" ({', '.join(panel.lines)})" if len(panel.lines) > 1 else ""
    lines = [f"{panel.title}{names}"[:width]]
    for number, row in enumerate(codes):
        text = "".join(("*" if code else " ") if plain else chr(_BLANK + code) for code in row.tolist())
        label = {0: f"{high:.5g}", height - 1: f"{low:.5g}"}.get(number, "")
        lines.append(f"{label[:_LABEL]:>{_LABEL}} {'|' if plain else '│'}{text}")
    ends = f"{left:,.10g}", f"{right:,.10g}"
    return [*lines, f"{'':{_LABEL + 2}}{ends[0]}{ends[1]:>{max(1, columns - len(ends[0]))}}"[:width]]


def _place(value: float, low: float, high: float, count: int) -> int:
    """Index of the one of ``count`` dots from low to high that is nearest; the middle of an empty range."""
    return round((value - low) / (high - low) * (count - 1)) if high > low else (count - 1) // 2


def _join(dots: np.ndarray[tuple[int, int], np.dtype[np.bool_]], places: list[tuple[int, int]]) -> None:
    """Set the dots of a polyline through (column, row)."""
    for (x0, y0), (x1, y1) in itertools.pairwise([places[0], *places]):
        steps = max(1, abs(x1 - x0), abs(y1 - y0))
        along = np.linspace(0, 1, steps + 1)
        dots[np.rint(y0 + along * (y1 - y0)).astype(int), np.rint(x0 + along * (x1 - x0)).astype(int)] = True
