"""Training curves: loss, learning rate and validation PSNR of a run, drawn from its ``events.jsonl``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from basicsr.config.paths import ExperimentPaths
from basicsr.reporting.line_chart import Panel, to_png, to_svg
from basicsr.utils.files import write_bytes

Event = dict[str, Any]


def write_curves(paths: ExperimentPaths) -> list[Path]:
    """Write ``curves.svg`` and ``curves.png`` into the experiment; returns them, or none without numbers."""
    if not paths.events.is_file():
        return []
    panels = panels_of(read_events(paths.events))
    if not panels:
        return []
    svg, png = paths.curves("svg"), paths.curves("png")
    title = paths.root.name
    write_bytes(svg, to_svg(panels, title).encode())
    write_bytes(png, to_png(panels, title))
    return [svg, png]


def read_events(path: Path) -> list[Event]:
    """Events in the order of iterations, without those of an earlier run that a resumed one has gone back on.

    A line that was cut off when its run was killed is left out.
    """
    events: list[Event] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        while events and events[-1]["iter"] > event["iter"]:
            events.pop()
        events.append(event)
    return events


def panels_of(events: list[Event]) -> list[Panel]:
    """Loss, learning rate, and PSNR with a line for each validation set; no panel without numbers.

    The title of the PSNR says so where images with an infinite one are left out of it.
    """
    train = [event for event in events if event["kind"] == "train"]
    validation = [event for event in events if event["kind"] == "val"]
    sets = dict.fromkeys(event["dataset"] for event in validation)
    left_out = ", without infinite ones" if any(event.get("psnr_infinite") for event in validation) else ""
    panels = [
        Panel("loss", {"loss": _points(train, "loss")}),
        Panel("learning rate", {"learning rate": _points(train, "lr")}),
        Panel(
            f"validation PSNR in dB{left_out}",
            {
                name: _points([event for event in validation if event["dataset"] == name], "psnr")
                for name in sets
            },
        ),
    ]
    return [panel for panel in panels if any(panel.lines.values())]


def _points(events: list[Event], name: str) -> list[tuple[float, float]]:
    """(iteration, value); of equal iterations the later line holds, null (infinite) is left out."""
    values = {event["iter"]: event.get(name) for event in events}
    return [(iteration, value) for iteration, value in sorted(values.items()) if value is not None]
