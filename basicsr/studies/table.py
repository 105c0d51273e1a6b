"""The table of a study: cost of each row, and its metrics on each test set over the seeds."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from basicsr.metrics.base import RATE, MetricFacts, values_of_input
from basicsr.studies.cost import Cost, Place
from basicsr.utils.errors import UserError

Metrics = Mapping[str, MetricFacts]

_MISSING = "–"
_HINT = "remove the folders of both and start again"


@dataclass(frozen=True)
class Budget:
    """The budget of each training.

    Args:
        iterations: optimizer steps.
        crops: samples per step.
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
        values: for each seed, the mean over the images with a finite value; None if there is none, or it was
            not measured.
        mean: over the seeds; None if a value is.
        deviation: sample standard deviation over the seeds; None if a value is, or with one seed.
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
        seed: of its training; None if the row was not trained.
        what: ``infinite``, or ``undefined`` (not a number).
        count: number of such values.
    """

    row: str
    seed: int | None
    set: str
    metric: str
    what: str
    count: int


@dataclass(frozen=True)
class Setup:
    """How the rows were trained and measured.

    Args:
        seeds: of the trainings of every row that is trained.
        budget: of each training; by row if they differ.
        minutes: duration that the iterations of each training were chosen for; None if option files set them.
        weights: of rows that are not trained, as the study names them; None if the network has none.
        place: where costs were measured; None if they were not.
        costs: by row.
    """

    seeds: list[int]
    budget: Budget | dict[str, Budget]
    minutes: float | None = None
    weights: dict[str, str | None] = field(default_factory=dict)
    place: Place | None = None
    costs: dict[str, Cost] = field(default_factory=dict)


@dataclass(frozen=True)
class RowsTable:
    """Figures of sets in the unit of each metric, rates as shares.

    Args:
        setup: of the rows.
        input: set -> metric -> value of the degraded images themselves; empty in a study without reference.
        rows: row -> set -> metric -> values.
        left_out: what the means leave out.
    """

    setup: Setup
    input: dict[str, dict[str, float | None]]
    rows: dict[str, dict[str, dict[str, OverSeeds]]]
    left_out: list[LeftOut]


def read_table(
    results: Mapping[str, Sequence[Sequence[Path]]],
    setup: Setup,
    metrics: Metrics,
    reference: Literal["input"] | None = "input",
) -> RowsTable:
    """The table from several ``metrics.json``.

    The values of the input come from the metrics that measure it, if the tests have them, or are known by
    definition.

    Args:
        results: by row, for each of the seeds (once if it was not trained), the files of its tests.
        metrics: those that the table shows, and those of the tests that measure the input.
        reference: whether the table has the values of the input.

    Raises:
        UserError: if one cannot be read, or the tests differ in their sets or in the images of a set.
    """
    tests = {row: [_read_all(paths) for paths in seeds] for row, seeds in results.items()}
    first = next(iter(tests.values()))[0]
    for others in (test for seeds in tests.values() for test in seeds):
        _check_same_images(first, others, metrics)
    rows = {
        row: {
            name: {
                metric: OverSeeds.of(test[name].content["mean"].get(metric) for test in seeds)
                for metric in _of_results(metrics)
            }
            for name in first
        }
        for row, seeds in tests.items()
    }
    inputs = {name: _input_values(item.content["mean"], metrics) for name, item in first.items() if reference}
    left_out = [
        LeftOut(row, seed, name, metric, what, count)
        for row, seeds in tests.items()
        for seed, test in zip([None] if row in setup.weights else setup.seeds, seeds, strict=True)
        for name, item in test.items()
        for metric, counts in item.content.get("left_out", {}).items()
        for what, count in counts.items()
    ]
    return RowsTable(setup, inputs, rows, left_out)


def to_json(table: RowsTable) -> str:
    """Every number of the table, not rounded."""
    plain = asdict(table)
    return json.dumps(plain.pop("setup") | plain, indent=2, allow_nan=False) + "\n"


def to_markdown(table: RowsTable, titles: Mapping[str, str], metrics: Metrics) -> str:
    """The table as Markdown: the input, then a line per row; below it, how rows were trained and measured.

    Args:
        titles: of the rows.
        metrics: as for `read_table`.
    """
    sets = next(iter(table.rows.values()))
    shown, costs = _of_results(metrics), table.setup.costs
    heads = " / ".join(facts.title(name) for name, facts in shown.items())
    lines = [[heads, *(_COST_HEADS if costs else []), *sets]]
    lines.append(["---"] * len(lines[0]))
    if table.input:
        inputs = (
            {name: OverSeeds.of([value]) for name, value in item.items()} for item in table.input.values()
        )
        nothing = [_MISSING] * (len(_COST_HEADS) if costs else 0)
        lines.append(["input", *nothing, *(_cell(values, shown) for values in inputs)])
    for row, of_sets in table.rows.items():
        cost = _cost_cells(costs[row]) if costs else []
        lines.append([titles[row], *cost, *(_cell(values, shown) for values in of_sets.values())])
    units = dict.fromkeys(
        f"{facts.title(name)} in {facts.unit}" for name, facts in shown.items() if _has_unit(facts)
    )
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    notes = [
        f"\n{titles[item.row]}, {item.set}{'' if item.seed is None else f', seed {item.seed}'}: "
        f"the mean of {item.metric} leaves out {item.count} {item.what} value(s).\n"
        for item in table.left_out
    ]
    closing = "; ".join([*_told(table.setup, titles), *units])
    return f"{text}\n\n{closing}.\n" + "".join(notes)


def _told(setup: Setup, titles: Mapping[str, str]) -> Iterator[str]:
    """How the rows were trained and measured, in parts of a sentence."""
    if setup.budget:
        seeds = ", ".join(map(str, setup.seeds))
        over = f"Mean ± sample standard deviation over {len(setup.seeds)} trainings (seeds {seeds})"
        if len(setup.seeds) == 1:
            over = f"One training (seed {seeds})"
        each = f"each of {setup.budget}"
        if not isinstance(setup.budget, Budget):
            each = ", ".join(f"{titles[row]} of {budget}" for row, budget in setup.budget.items())
        time = "" if setup.minutes is None else f" of {setup.minutes:g} min"
        yield f"{over}{time}, {each}"
    if given := {row: named for row, named in setup.weights.items() if named is not None}:
        yield ", ".join(f"{titles[row]} with the weights {named}" for row, named in given.items())
    if setup.place is not None:
        yield f"cost for one image of {setup.place}"


_COST_HEADS = ("parameters (M)", "GMACs/MP", "s/MP")


def _cost_cells(cost: Cost) -> list[str]:
    gmacs = cost.macs_per_pixel / 1e3  # per 10^6 pixels
    return [_three_digits(value) for value in (cost.parameters / 1e6, gmacs, cost.seconds_per_megapixel)]


def _three_digits(value: float) -> str:
    """``0.0123``, ``1.23``, ``1,234``: all digits before the point, and at least three significant ones."""
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"


def _of_results(metrics: Metrics) -> dict[str, MetricFacts]:
    """The metrics without those of the input."""
    return {name: facts for name, facts in metrics.items() if facts.input_of is None}


def _has_unit(facts: MetricFacts) -> bool:
    """Whether it has a unit that its numbers do not show."""
    return facts.unit not in ("", RATE)


def _cell(values: Mapping[str, OverSeeds], metrics: Metrics) -> str:
    return " / ".join(_number(values[name], facts) for name, facts in metrics.items())


def _number(value: OverSeeds, facts: MetricFacts) -> str:
    if value.mean is None:
        return _MISSING
    deviation = "" if value.deviation is None else f" ± {facts.number(value.deviation)}"
    return f"{facts.number(value.mean)}{deviation}{facts.sign}"


@dataclass(frozen=True)
class _Tested:
    """``content`` of a set in the file ``path``: ``{"mean": {metric: value}, "images": [{"key": ..}]}``."""

    path: Path
    content: dict[str, Any]


def _read_all(paths: Sequence[Path]) -> dict[str, _Tested]:
    """The sets of several files by name."""
    return {name: _Tested(path, content) for path in paths for name, content in _read(path).items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))
        complete = bool(sets) and all({"mean", "images"} <= item.keys() for item in sets.values())
    except (OSError, ValueError, AttributeError):
        complete = False
    if not complete:
        raise UserError(f"{path}: not the metrics of a test; remove the folder and start again")
    assert isinstance(sets, dict)
    return sets


def _check_same_images(first: dict[str, _Tested], others: dict[str, _Tested], metrics: Metrics) -> None:
    for name in {**first, **others}:
        if name not in first or name not in others:
            lacking, having = (first, others) if name not in first else (others, first)
            path = next(iter(lacking.values())).path
            raise UserError(f"{path}: lacks the set {name} of {having[name].path}; {_HINT}")
        one, other = first[name], others[name]
        if not _have_same_inputs(one.content, other.content, metrics):
            raise UserError(f"{other.path}: {name} has other images than in {one.path}; {_HINT}")


def _have_same_inputs(one: dict[str, Any], other: dict[str, Any], metrics: Metrics) -> bool:
    """Whether keys agree, and figures of the inputs but for the last digits, which depend on the machine."""
    if [image["key"] for image in one["images"]] != [image["key"] for image in other["images"]]:
        return False
    names = [name for name, facts in metrics.items() if facts.input_of is not None]
    pairs = [
        (image.get(name), twin.get(name))
        for image, twin in zip(one["images"], other["images"], strict=True)
        for name in names
    ]
    return all(a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-6) for a, b in pairs)


def _input_values(mean: dict[str, float | None], metrics: Metrics) -> dict[str, float | None]:
    values = {name: facts.unchanged for name, facts in _of_results(metrics).items()}
    return values | {of: mean.get(name) for name, of in values_of_input(metrics).items()}
