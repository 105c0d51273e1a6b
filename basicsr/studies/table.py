"""The table of a study: metrics of each row on each test set, over the seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from basicsr.utils.errors import UserError

METRICS = ("psnr", "ssim", "mcr")
"""What a table shows unless a study says otherwise."""

_STYLES = {"psnr": (2, 1, ""), "mcr": (2, 100, " %")}
_USUAL_STYLE = (4, 1, "")
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
    """Values as ``metrics.json`` has them: PSNR in dB, the mode collapse rate as a share.

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
    metrics: Sequence[str] = METRICS,
    reference: Literal["input"] | None = "input",
) -> RowsTable:
    """The table of several ``metrics.json``.

    The values of the input are those of ``input_psnr`` and the like, as far as the tests have them; its mode
    collapse rate is 0 by definition.

    Args:
        results: by row, its files in the order of ``seeds``.
        budget: of each training, or by row.
        metrics: what the table shows.
        reference: whether it has the values of the input.

    Raises:
        UserError: one cannot be read, or the tests differ in their sets or in the images of a set.
    """
    tests = {path: _read(path) for paths in results.values() for path in paths}
    first, sets = next(iter(tests.items()))
    for path, others in tests.items():
        _check_same_images(first, sets, path, others)
    rows = {
        row: {
            name: {
                metric: OverSeeds.of(tests[path][name]["mean"].get(metric) for path in paths)
                for metric in metrics
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


def to_markdown(table: RowsTable, titles: Mapping[str, str]) -> str:
    """The table for people: the input, then a line a row; below it seeds, budget, and what means leave out.

    Args:
        titles: of the rows.
    """
    sets = next(iter(table.rows.values()))
    metrics = next(iter(sets.values()))
    lines = [[" / ".join(metrics).upper(), *sets], ["---"] * (1 + len(sets))]
    if table.input:
        inputs = (
            {metric: OverSeeds.of([value]) for metric, value in item.items()} for item in table.input.values()
        )
        lines.append(["input", *map(_cell, inputs)])
    for row, values in table.rows.items():
        lines.append([titles[row], *map(_cell, values.values())])
    seeds = ", ".join(map(str, table.seeds))
    over = f"Mean ± sample standard deviation over {len(table.seeds)} trainings (seeds {seeds})"
    if len(table.seeds) == 1:
        over = f"One training (seed {seeds})"
    each = f"each of {table.budget}"
    if not isinstance(table.budget, Budget):
        each = ", ".join(f"{titles[row]} of {budget}" for row, budget in table.budget.items())
    unit = "; PSNR in dB" if "psnr" in metrics else ""
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    notes = [
        f"\n{titles[item.row]}, {item.set}, seed {item.seed}: "
        f"the mean of {item.metric} leaves out {item.count} {item.what} value(s).\n"
        for item in table.left_out
    ]
    return f"{text}\n\n{over}, {each}{unit}.\n" + "".join(notes)


def _cell(values: Mapping[str, OverSeeds]) -> str:
    return " / ".join(_number(value, *_STYLES.get(metric, _USUAL_STYLE)) for metric, value in values.items())


def _number(value: OverSeeds, digits: int, factor: float, unit: str) -> str:
    if value.mean is None:
        return _MISSING
    deviation = "" if value.deviation is None else f" ± {factor * value.deviation:.{digits}f}"
    return f"{factor * value.mean:.{digits}f}{deviation}{unit}"


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


def _check_same_images(first: Path, sets: dict[str, Any], path: Path, others: dict[str, Any]) -> None:
    for name in {**sets, **others}:
        if name not in sets or name not in others:
            lacking, other = (first, path) if name not in sets else (path, first)
            raise UserError(f"{lacking}: lacks the set {name} of {other}; {_WAY_ON}")
        if _inputs(sets[name]) != _inputs(others[name]):
            raise UserError(f"{path}: {name} has other images than in {first}; {_WAY_ON}")


def _inputs(item: dict[str, Any]) -> list[list[Any]]:
    return [[image.get(name) for name in ("key", "input_psnr", "input_ssim")] for image in item["images"]]


def _input_values(mean: dict[str, float | None], metrics: Sequence[str]) -> dict[str, float | None]:
    return {metric: 0.0 if metric == "mcr" else mean.get(f"input_{metric}") for metric in metrics}
