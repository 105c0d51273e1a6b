"""How far a training run is, read from its folder while it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basicsr.config.load import read_options
from basicsr.config.paths import ExperimentPaths
from basicsr.engine.hooks import duration
from basicsr.metrics.base import MetricFacts, facts_of
from basicsr.reporting.curves import Event, panels_of
from basicsr.reporting.line_chart import Panel
from basicsr.reporting.terminal_chart import draw
from basicsr.utils.errors import UserError
from basicsr.utils.log import read_events
from basicsr.utils.registry import METRICS

_PICTURES = 6  # that a page shows
# Fields of an event that are no loss.
_OTHERS = {
    "kind",
    "iter",
    "time",
    "epoch",
    "lr",
    "step_seconds",
    "data_seconds",
    "eta_seconds",
    "skipped_steps",
}


@dataclass(frozen=True)
class Progress:
    """A training run at one moment.

    Args:
        name: of the experiment.
        total: steps that it is to make.
        iteration: steps that the newest event counts; 0 without events.
        train: the newest event of training.
        validations: the newest event of each validation set, by its name.
        panels: the curves.
        pictures: the newest pictures of validations, at most 6.
    """

    name: str
    total: int
    iteration: int
    train: Event
    validations: Mapping[str, Event]
    panels: list[Panel]
    pictures: list[Path]

    @property
    def is_done(self) -> bool:
        """Whether all steps are made."""
        return self.iteration >= self.total

    def facts(self, now: float) -> list[str]:
        """Lines of text: steps and times, losses, and the figures of validations.

        Args:
            now: seconds since the epoch, which the age of the newest event is counted to.
        """
        if not self.train:
            return [f"{self.name}: no step logged yet, of {self.total:,}"]
        share = 100 * self.iteration / self.total
        parts = [f"{self.train['step_seconds']:.3g} s/step"]
        if not self.is_done:
            parts.append(f"{duration(self.train['eta_seconds'])} left")
            parts.append(f"logged {duration(max(0.0, now - self.train['time']))} ago")
        losses = {name: value for name, value in self.train.items() if name not in _OTHERS}
        lines = [
            f"{self.name}: {self.iteration:,} of {self.total:,} steps ({share:.0f} %)",
            ", ".join(parts),
            f"{_figures(losses)}, lr {_figure(self.train['lr'])}",
        ]
        for name, event in self.validations.items():
            values = {key: value for key, value in event.items() if key not in {*_OTHERS, "dataset"}}
            lines.append(f"validation {name} at {event['iter']:,}: {_figures(values)}")
        return lines


def read_progress(paths: ExperimentPaths) -> Progress:
    """Read the folder of a run.

    Raises:
        UserError: there is no training run, or its options cannot be used.
    """
    config = paths.config(0)
    if not config.is_file():
        raise UserError(f"{paths.root}: no training run; give the name of a folder in experiments/")
    options = read_options(config)
    total = (options.get("train") or {}).get("total_iter")
    if not isinstance(total, int) or total < 1:
        raise UserError(f"{config}: no train.total_iter; was the file changed?")
    events = read_events(paths.events) if paths.events.is_file() else []
    train = [event for event in events if event["kind"] == "train"]
    validations = {event["dataset"]: event for event in events if event["kind"] == "val"}
    return Progress(
        paths.root.name,
        total,
        events[-1]["iter"] if events else 0,
        train[-1] if train else {},
        validations,
        panels_of(events, _metrics(options)),
        _newest_pictures(paths, validations),
    )


def to_text(progress: Progress, width: int, height: int, plain: bool, now: float | None = None) -> str:
    """A view for a terminal.

    Args:
        width, height: of the terminal in characters; charts are left out where there is no room.
        plain: draw with ASCII characters alone.
        now: see `Progress.facts`; default: now.
    """
    lines = [line[:width] for line in progress.facts(time.time() if now is None else now)]
    rows = (height - len(lines)) // max(1, len(progress.panels)) - 3  # beside a blank line, title and range
    for panel in progress.panels if rows >= 3 else ():
        lines += ["", *draw(panel, width, min(rows, 10), plain)]
    return "\n".join(lines)


def _metrics(options: dict[str, Any]) -> dict[str, MetricFacts]:
    """Those of the validation that this process knows; plugins are not loaded."""
    known = METRICS.names()
    named = (options.get("val") or {}).get("metrics") or {"psnr": {"type": "calculate_psnr"}}
    return {name: facts_of(item["type"]) for name, item in named.items() if item["type"] in known}


def _newest_pictures(paths: ExperimentPaths, validations: Mapping[str, Event]) -> list[Path]:
    found = [path for name, event in validations.items() for path in paths.pictures(name, event["iter"])]
    return found[:_PICTURES]


def _figures(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {_figure(value)}" for name, value in values.items())


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
