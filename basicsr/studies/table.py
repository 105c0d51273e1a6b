"""The table of a study: metrics of each row on each test set, over the seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from basicsr.metrics.base import RATE, MetricFacts, values_of_input
from basicsr.utils.errors import UserError

Metrics = Mapping[str, MetricFacts]

_MISSING = "–"
_WAY_ON = "remove the folders of both and start again"


@dataclass(frozen=True)
class Budget:
    """What each training may use.

    Args:
        iterations: optimiser steps.
        crops: samples a step.
        side: of the square crops in pixels; None trains on whole images.
    """

    iterations: int
    crops: int
    side: int | None

    def __str__(self) -> str:
        samples = f"crops of {self.side}x{self.side} pixels" if self.side is not None else "whole images"
        return f"{self.iterations:,} iterations of {self.crops} {samples}"


@dataclass(frozen=True)
class OverSeeds:
    """One metric of one row on one set.

    Args:
        values: of each seed, the mean over the images with a finite value; None where there is none, or where
            it was not measured.
        mean: over the seeds; None where a value is.
        deviation: sample standard deviation over the seeds; None where a value is, or with one seed.
    """

    values: list[float | None]
    mean: float | None
    deviation: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> OverSeeds:
        values = list(values)
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return cls(values, None, None)
        return cls(values, statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)


@dataclass(frozen=True)
class LeftOut:
    """Values of images that the mean of one test leaves out.

    Args:
        row, set, metric: of which test.
        seed: of its training.
        what: ``infinite``, or ``undefined`` (not a number).
        count: how many.
    """

    row: str
    seed: int
    set: str
    metric: str
    what: str
    count: int


@dataclass(frozen=True)
class RowsTable:
    """Figures of sets in the unit of each metric, rates as shares.

    Args:
        seeds: of the trainings of every row.
        budget: of each training; by row where they differ.
        input: set -> metric -> value of the degraded images themselves; empty in a study without reference.
        rows: row -> set -> metric -> values.
        left_out: what the means leave out.
    """

    seeds: list[int]
    budget: Budget | dict[str, Budget]
    input: dict[str, dict[str, float | None]]
    rows: dict[str, dict[str, dict[str, OverSeeds]]]
    left_out: list[LeftOut]


def read_table(
    results: Mapping[str, Sequence[Path]],
    seeds: Sequence[int],
    budget: Budget | dict[str, Budget],
    metrics: Metrics,
    reference: Literal["input"] | None = "input",
) -> RowsTable:
    """The table of several ``metrics.json``.

    The values of the input are those of the metrics that measure it, as far as the tests have them, or known
    by definition.

    Args:
        results: by row, its files in the order of ``seeds``.
        budget: of each training, or by row.
        metrics: what the table shows, and what of the tests measures the input.
        reference: whether it has the values of the input.

    Raises:
        UserError: one cannot be read, or the tests differ in their sets or in the images of a set.
    """
    tests = {path: _read(path) for paths in results.values() for path in paths}
    first, sets = next(iter(tests.items()))
    for path, others in tests.items():
        _check_same_images(first, sets, path, others, metrics)
    rows = {
        row: {
            name: {
                metric: OverSeeds.of(tests[path][name]["mean"].get(metric) for path in paths)
                for metric in _of_results(metrics)
            }
            for name in sets
        }
        for row, paths in results.items()
    }
    inputs = {name: _input_values(item["mean"], metrics) for name, item in sets.items() if reference}
    left_out = [
        LeftOut(row, seed, name, metric, what, count)
        for row, paths in results.items()
        for seed, path in zip(seeds, paths, strict=False)
        for name, item in tests[path].items()
        for metric, counts in item.get("left_out", {}).items()
        for what, count in counts.items()
    ]
    return RowsTable(list(seeds), budget, inputs, rows, left_out)


def to_json(table: RowsTable) -> str:
    """Every number of the table, not rounded."""
    return json.dumps(asdict(table), indent=2, allow_nan=False) + "\n"


def to_markdown(table: RowsTable, titles: Mapping[str, str], metrics: Metrics) -> str:
    """The table for people: the input, then a line a row; below it seeds, budget, and what means leave out.

    Args:
        titles: of the rows.
        metrics: as of `read_table`.
    """
    sets = next(iter(table.rows.values()))
    shown = _of_results(metrics)
    heads = " / ".join(facts.title(name) for name, facts in shown.items())
    lines = [[heads, *sets], ["---"] * (1 + len(sets))]
    if table.input:
        inputs = (
            {name: OverSeeds.of([value]) for name, value in item.items()} for item in table.input.values()
        )
        lines.append(["input", *(_cell(values, shown) for values in inputs)])
    for row, of_sets in table.rows.items():
        lines.append([titles[row], *(_cell(values, shown) for values in of_sets.values())])
    seeds = ", ".join(map(str, table.seeds))
    over = f"Mean ± sample standard deviation over {len(table.seeds)} trainings (seeds {seeds})"
    if len(table.seeds) == 1:
        over = f"One training (seed {seeds})"
    each = f"each of {table.budget}"
    if not isinstance(table.budget, Budget):
        each = ", ".join(f"{titles[row]} of {budget}" for row, budget in table.budget.items())
    units = dict.fromkeys(
        f"{facts.title(name)} in {facts.unit}" for name, facts in shown.items() if _has_unit(facts)
    )
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    notes = [
        f"\n{titles[item.row]}, {item.set}, seed {item.seed}: "
        f"the mean of {item.metric} leaves out {item.count} {item.what} value(s).\n"
        for item in table.left_out
    ]
    closing = "; ".join([f"{over}, {each}", *units])
    return f"{text}\n\n{closing}.\n" + "".join(notes)


def _of_results(metrics: Metrics) -> dict[str, MetricFacts]:
    """Without those of the input."""
    return {name: facts for name, facts in metrics.items() if facts.input_of is None}


def _has_unit(facts: MetricFacts) -> bool:
    """One that its numbers do not show."""
    return facts.unit not in ("", RATE)


def _cell(values: Mapping[str, OverSeeds], metrics: Metrics) -> str:
    return " / ".join(_number(values[name], facts) for name, facts in metrics.items())


def _number(value: OverSeeds, facts: MetricFacts) -> str:
    if value.mean is None:
        return _MISSING
    deviation = "" if value.deviation is None else f" ± {facts.number(value.deviation)}"
    return f"{facts.number(value.mean)}{deviation}{facts.sign}"


def _read(path: Path) -> dict[str, Any]:
    """``{set: {"mean": {metric: value}, "images": [{"key": ..., metric: value}]}}``"""
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))
        complete = bool(sets) and all({"mean", "images"} <= item.keys() for item in sets.values())
    except (OSError, ValueError, AttributeError):
        complete = False
    if not complete:
        raise UserError(f"{path}: not the metrics of a test; remove the folder and start again")
    assert isinstance(sets, dict)
    return sets


def _check_same_images(
    first: Path, sets: dict[str, Any], path: Path, others: dict[str, Any], metrics: Metrics
) -> None:
    for name in {**sets, **others}:
        if name not in sets or name not in others:
            lacking, other = (first, path) if name not in sets else (path, first)
            raise UserError(f"{lacking}: lacks the set {name} of {other}; {_WAY_ON}")
        if _inputs(sets[name], metrics) != _inputs(others[name], metrics):
            raise UserError(f"{path}: {name} has other images than in {first}; {_WAY_ON}")


def _inputs(item: dict[str, Any], metrics: Metrics) -> list[list[Any]]:
    names = ["key", *(name for name, facts in metrics.items() if facts.input_of is not None)]
    return [[image.get(name) for name in names] for image in item["images"]]


def _input_values(mean: dict[str, float | None], metrics: Metrics) -> dict[str, float | None]:
    values = {name: facts.unchanged for name, facts in _of_results(metrics).items()}
    return values | {of: mean.get(name) for name, of in values_of_input(metrics).items()}
