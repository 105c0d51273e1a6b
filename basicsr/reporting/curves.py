"""Training curves: loss, learning rate and a metric of validation, drawn from ``events.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from basicsr.config.paths import ExperimentPaths
from basicsr.metrics.base import RATE, MetricFacts, headline_of
from basicsr.reporting.line_chart import Panel, to_png, to_svg
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger, read_events, unwritten_is_told

Event = dict[str, Any]


def draw_curves(paths: ExperimentPaths, metrics: Mapping[str, MetricFacts]) -> None:
    """`write_curves`, and a line for the log; a full disk only causes a warning."""
    with unwritten_is_told("the curves are not drawn"):
        drawn = write_curves(paths, metrics)
        if drawn:
            logger().info(f"training curves: {' and '.join(str(path) for path in drawn)}")


def write_curves(paths: ExperimentPaths, metrics: Mapping[str, MetricFacts]) -> list[Path]:
    """Write ``curves.svg`` and ``curves.png`` into the experiment; returns them, or none without numbers.

    Args:
        metrics: of the validation.
    """
    if not paths.events.is_file():
        return []
    panels = panels_of(read_events(paths.events), metrics)
    if not panels:
        return []
    svg, png = paths.curves("svg"), paths.curves("png")
    title = paths.root.name
    write_bytes(svg, to_svg(panels, title).encode())
    write_bytes(png, to_png(panels, title))
    return [svg, png]


def panels_of(events: list[Event], metrics: Mapping[str, MetricFacts]) -> list[Panel]:
    """Loss, learning rate, and a metric with a line for each validation set; no panel without numbers.

    The metric is the headline (PSNR), or the first. Its title notes where images with an infinite value are
    left out.
    """
    train = [event for event in events if event["kind"] == "train"]
    validation = [event for event in events if event["kind"] == "val"]
    panels = [
        Panel("loss", {"loss": _points(train, "loss")}),
        Panel("learning rate", {"learning rate": _points(train, "lr")}),
    ]
    drawn = headline_of(metrics) or next(iter(metrics), None)
    if drawn is not None:
        panels.append(_validation(validation, drawn, metrics[drawn]))
    return [panel for panel in panels if any(panel.lines.values())]


def _validation(events: list[Event], name: str, facts: MetricFacts) -> Panel:
    unit = f" in {facts.unit}" if facts.unit not in ("", RATE) else ""
    left_out = ", without infinite ones" if any(event.get(f"{name}_infinite") for event in events) else ""
    sets = dict.fromkeys(event["dataset"] for event in events)
    lines = {key: _points([event for event in events if event["dataset"] == key], name) for key in sets}
    return Panel(f"validation {facts.title(name)}{unit}{left_out}", lines)


def _points(events: list[Event], name: str) -> list[tuple[float, float]]:
    """(iteration, value); of equal iterations the later line counts, null (infinite) is left out."""
    values = {event["iter"]: event.get(name) for event in events}
    return [(iteration, value) for iteration, value in sorted(values.items()) if value is not None]
