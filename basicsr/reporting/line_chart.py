"""Line charts under each other with a common horizontal axis, as SVG and as PNG: one geometry, two ways to
draw it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from basicsr.utils.image import encode_png

Point = tuple[float, float]
Color = tuple[int, int, int]

WIDTH = 860
_PANEL = 210  # height of the plot itself
_LEFT, _RIGHT = 92, 28
_TOP = 64  # above the first panel
_GAP = 62  # between panels, for the name of the next one
_BOTTOM = 58

_PAPER: Color = (255, 255, 255)
_INK: Color = (29, 32, 36)
_QUIET: Color = (98, 104, 111)
_GRID: Color = (227, 228, 225)
_LINES: tuple[Color, ...] = ((15, 107, 117), (179, 64, 46), (122, 98, 170), (150, 118, 30), (70, 120, 60))


@dataclass(frozen=True)
class Panel:
    """One chart.

    Args:
        title: what is drawn, with its unit.
        lines: (x, y) points by name, ascending in x; names are shown where there are several.
    """

    title: str
    lines: Mapping[str, Sequence[Point]]


@dataclass(frozen=True)
class Line:
    """A polyline in pixels."""

    points: Sequence[Point]
    color: Color
    width: float


@dataclass(frozen=True)
class Text:
    """A text in pixels; ``y`` is its baseline."""

    x: float
    y: float
    text: str
    color: Color
    size: int = 13
    anchor: Literal["start", "middle", "end"] = "start"


Shape = Line | Text


def to_svg(panels: Sequence[Panel], title: str, across: str = "iteration") -> str:
    """The charts as an SVG document; ``across`` names the horizontal axis."""
    height = _height(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="{_hex(_PAPER)}"/>',
        *(_svg(shape) for shape in _shapes(panels, title, across)),
        "</svg>\n",
    ]
    return "\n".join(parts)


def to_png(panels: Sequence[Panel], title: str, across: str = "iteration", scale: int = 2) -> bytes:
    """The charts as PNG bytes, ``scale`` pixels per pixel of the SVG."""
    canvas = np.full((_height(panels) * scale, WIDTH * scale, 3), _PAPER, np.uint8)
    for shape in _shapes(panels, title, across):
        _paint(canvas, shape, scale)
    return encode_png(canvas)


def round_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """At most ``most`` values inside [low, high], a multiple of 1, 2 or 5 times a power of ten apart."""
    if not low < high:
        return [low]
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _shapes(panels: Sequence[Panel], title: str, across: str) -> list[Shape]:
    points = [point for panel in panels for line in panel.lines.values() for point in line]
    ends = _padded(min(x for x, _ in points), max(x for x, _ in points), 0)
    shapes: list[Shape] = [Text(_LEFT, 28, title, _INK, 17)]
    top = _TOP
    for panel in panels:
        shapes += _panel(panel, top, ends)
        top += _PANEL + _GAP
    bottom = top - _GAP
    shapes += [
        Text(_place(tick, ends, _LEFT, WIDTH - _RIGHT), bottom + 20, f"{tick:,.10g}", _QUIET, 13, "middle")
        for tick in round_ticks(*ends)
    ]
    return [*shapes, Text((_LEFT + WIDTH - _RIGHT) / 2, bottom + 42, across, _QUIET, 13, "middle")]


def _panel(panel: Panel, top: int, across: Point) -> list[Shape]:
    values = [y for line in panel.lines.values() for _, y in line]
    along = _padded(min(values), max(values), 0.05)
    left, right, bottom = _LEFT, WIDTH - _RIGHT, top + _PANEL
    shapes: list[Shape] = [Text(left, top - 10, panel.title, _INK)]
    for tick in round_ticks(*along):
        y = _place(tick, along, bottom, top)
        shapes += [
            Line([(left, y), (right, y)], _GRID, 1),
            Text(left - 10, y + 4, f"{tick:.10g}".replace("-", "\u2212"), _QUIET, 13, "end"),
        ]
    shapes.append(Line([(left, bottom), (right, bottom)], _QUIET, 1))
    end = right
    for number, (name, line) in enumerate(panel.lines.items()):
        color = _LINES[number % len(_LINES)]
        places = [(_place(x, across, left, right), _place(y, along, bottom, top)) for x, y in line]
        if len(places) == 1:
            places = [(places[0][0] - 3, places[0][1]), (places[0][0] + 3, places[0][1])]
        shapes.append(Line(_thinned(places), color, 1.8))
        if len(panel.lines) > 1:
            shapes.append(Text(end, top - 10, name, color, 13, "end"))
            end -= 9 * len(name) + 16
    return shapes


def _padded(low: float, high: float, share: float) -> Point:
    """The range with a margin; one value alone gets a range around it."""
    if low == high:
        low, high = low - (abs(low) or 1) * 0.05, high + (abs(high) or 1) * 0.05
    return low - share * (high - low), high + share * (high - low)


def _place(value: float, span: Point, start: float, end: float) -> float:
    return start + (value - span[0]) / (span[1] - span[0]) * (end - start)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Of the points of one pixel column the first, the lowest, the highest and the last: no peak is lost."""
    columns: dict[int, list[Point]] = {}
    for point in points:
        columns.setdefault(round(point[0]), []).append(point)
    kept = []
    for column in columns.values():
        heights = [y for _, y in column]
        wanted = {0, heights.index(min(heights)), heights.index(max(heights)), len(column) - 1}
        kept += [column[index] for index in sorted(wanted)]
    return kept


def _height(panels: Sequence[Panel]) -> int:
    return _TOP + len(panels) * (_PANEL + _GAP) - _GAP + _BOTTOM


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _svg(shape: Shape) -> str:
    if isinstance(shape, Line):
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        return (
            f'<polyline points="{places}" fill="none" stroke="{_hex(shape.color)}" '
            f'stroke-width="{shape.width}" stroke-linejoin="round"/>'
        )
    return (
        f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size}" text-anchor="{shape.anchor}" '
        f'fill="{_hex(shape.color)}">{html.escape(shape.text)}</text>'
    )


def _paint(canvas: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], shape: Shape, scale: int) -> None:
    if isinstance(shape, Line):
        # OpenCV takes fixed-point places: 4 binary digits after the point.
        places = np.round(np.array(shape.points) * scale * 16).astype(np.int32)
        cv2.polylines(canvas, [places], False, shape.color, round(shape.width * scale), cv2.LINE_AA, shift=4)
        return
    font, size = cv2.FONT_HERSHEY_SIMPLEX, shape.size * scale / 33  # its capitals are 22 pixels high
    text = shape.text.replace("\u2212", "-")
    width = cv2.getTextSize(text, font, size, 1)[0][0]
    left = shape.x * scale - {"start": 0, "middle": width / 2, "end": width}[shape.anchor]
    place = (round(left), round(shape.y * scale))
    cv2.putText(canvas, text, place, font, size, shape.color, 1, cv2.LINE_AA)
