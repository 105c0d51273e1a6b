"""A study, from its file to table and page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from basicsr.config.paths import RESULTS
from basicsr.config.schema import Config
from basicsr.data.transforms import build_transforms
from basicsr.metrics.base import MetricFacts, describe
from basicsr.reporting.comparison import compare
from basicsr.studies import probe
from basicsr.studies.cost import cost_of
from basicsr.studies.job import StudyJob
from basicsr.studies.probe import Probe, read_probe
from basicsr.studies.runs import RowRun, RowTest, RowTraining, finish_all, run_file, threads_of_one
from basicsr.studies.study import OF_TEST, OF_TRAINING, Row, Study, load_study
from basicsr.studies.table import Budget, Setup, read_table, to_json, to_markdown
from basicsr.utils.convert import Mistakes
from basicsr.utils.display import Lines
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger


def compare_rows(job: StudyJob) -> None:
    """Train and test what is not done yet; write ``table.md``, ``table.json`` and ``report.html``.

    Raises:
        OptionError: if there are mistakes in the study or in options, before anything is trained.
        UserError: if a run failed, or the rows do not have the same budget.
    """
    study = load_study(job.study)
    _check_flags(job, study)
    seeds = job.seeds or list(study.seeds)
    output = job.output or RESULTS / f"{job.group or study.group}-{study.name}"
    chosen = {name: row for name, row in study.rows.items() if job.rows is None or name in job.rows}
    runs = {name: _runs(job, study, name, row, seeds) for name, row in chosen.items()}
    training = _training_options(_in_order(runs), study, job.study)
    _require_one_budget(training, study)
    if study.minutes is not None:
        probes = asyncio.run(_probe(runs, training, output / "probes", output / "logs", job.jobs))
        runs = {name: _lasting(study.minutes, items, probes.get(name)) for name, items in runs.items()}
    trained = [run.training for run in _in_order(runs) if run.training is not None]
    for item in trained:
        item.require_same_options()
    asyncio.run(finish_all(_in_order(runs), job.jobs, output / "logs"))

    metrics = _shown(_in_order(runs), study)
    setup = Setup(
        seeds=seeds if trained else [],
        budget=_budgets(runs),
        minutes=study.minutes,
        weights={name: row.weights for name, row in chosen.items() if not row.is_trained},
    )
    if study.cost is not None:
        setup = _with_costs(setup, runs, study.cost)
    results = {
        name: [[test.results.metrics_json for test in run.tests] for run in items]
        for name, items in runs.items()
    }
    table = read_table(results, setup, metrics, study.reference)
    text = to_markdown(table, study.labels, metrics)
    write_bytes(output / "table.md", text.encode())
    write_bytes(output / "table.json", to_json(table).encode())
    logger().info(Lines(f"{output / 'table.md'} and {output / 'table.json'}\n\n{text}"))
    for number, tests in enumerate(zip(*(items[0].tests for items in runs.values()), strict=False), 1):
        _write_page(output / f"report{'' if number == 1 else f'_{number}'}.html", tests)


def _in_order(runs: dict[str, list[RowRun]]) -> list[RowRun]:
    """Seed by seed, so that a command stopped early leaves complete comparisons."""
    return [run for one_seed in zip_longest(*runs.values()) for run in one_seed if run is not None]


def _shown(runs: Sequence[RowRun], study: Study) -> dict[str, MetricFacts]:
    """The metrics of the table in order, followed by those of the input."""
    measured: dict[str, MetricFacts] = {}
    for test in (test for run in runs for test in run.tests):
        measured |= describe(test.options().val.judged_by)
    of_input = {name: facts for name, facts in measured.items() if facts.input_of is not None}
    return {name: measured[name] for name in study.metrics} | of_input


def _check_flags(job: StudyJob, study: Study) -> None:
    mistakes = Mistakes()
    OF_TRAINING.check(job.training, "--set", mistakes)
    OF_TEST.check(job.testing, "--test_set", mistakes)
    for row in job.rows or ():
        if row not in study.rows:
            mistakes.unknown("--rows", f"{job.study} has no row {row!r}", row, study.rows)
    if mistakes.lines:
        raise OptionError("command line", mistakes.lines)


def _runs(job: StudyJob, study: Study, name: str, row: Row, seeds: Sequence[int]) -> list[RowRun]:
    """A row with each seed, or once if it is not trained."""
    group = job.group or study.group
    network = [] if row.network is None else [f"network_g={json.dumps(row.network)}"]

    def option_file(path: str) -> Path:
        return _beside(job.study, path.replace("{group}", group).replace("{row}", name))

    def tests(name: str, weights: str | None, shown: bool) -> list[RowTest]:
        given = row.weights is not None
        overrides = [*study.test_set, *network, *row.test_set, *job.testing]
        files = [option_file(path) for path in study.test_files(row)]
        names = [name, *(f"{name}-test{number}" for number in range(2, len(files) + 1))]
        return [
            RowTest(name, file, overrides, given, weights, shown)
            for name, file in zip(names, files, strict=True)
        ]

    if not row.is_trained:
        return [RowRun(name, None, tests(f"{group}-{name}", row.weights, shown=True))]
    train = row.train or study.train
    assert train is not None, "checked by load_study"
    runs = []
    for seed in seeds:
        overrides = [*study.set, *network, *row.set, *job.training]
        training = RowTraining(f"{group}-{name}-seed{seed}", seed, option_file(train), overrides)
        shown = seed == seeds[0]
        runs.append(RowRun(name, training, tests(training.name, str(training.weights), shown)))
    return runs


def _beside(file: Path, path: str) -> Path:
    """``path`` as meant in ``file``, relative to the current folder if it is below that."""
    place, here = (file.parent / path).resolve(), Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _training_options(runs: Sequence[RowRun], study: Study, file: Path) -> dict[str, Config]:
    """The options by name of the run; the mistakes of all rows are reported at once."""
    training: dict[str, Config] = {}
    measured: set[str] = set()
    mistakes = Mistakes()

    @contextmanager
    def noted(row: str) -> Iterator[None]:
        try:
            yield
        except OptionError as error:
            for line in error.mistakes:
                mistakes.add(f"rows.{row}", f"{error.source}: {line.removeprefix(f'{error.source}: ')}")

    for run in runs:
        sets: list[str] = []
        for test in run.tests:
            with noted(run.row):
                options = test.options()
                measured |= options.val.judged_by.keys()
                sets += [item.name for item in options.tested().values()]
        for name in dict.fromkeys(name for name in sets if sets.count(name) > 1):
            mistakes.add(f"rows.{run.row}.test", "two data sets have this name; results would mix", name)
        if run.training is not None:
            with noted(run.row):
                training[run.training.name] = run.training.options()
    if mistakes.lines:
        once = dict.fromkeys(mistakes.lines)  # a row has the same mistakes with every seed
        raise OptionError(str(file), list(once))
    for metric in study.metrics:
        if metric not in measured:
            mistakes.unknown("metrics", f"no test has {metric!r} in val.metrics", metric, sorted(measured))
    if mistakes.lines:
        raise OptionError(str(file), mistakes.lines)
    return training


def _require_one_budget(training: dict[str, Config], study: Study) -> None:
    """Check that trainings agree in the parts of the budget that the study requires to be the same."""
    budgets = {name: _budget(config) for name, config in training.items()}
    if not budgets:
        return
    parts = [part for part in study.same if part != "iterations" or study.minutes is None]
    first, budget = next(iter(budgets.items()))
    for name, other in budgets.items():
        if any(getattr(other, part) != getattr(budget, part) for part in parts):
            hint = "make their option files agree, or give one budget with --set"
            raise UserError(f"{name} has {other}, {first} has {budget}; {hint}")


async def _probe(
    runs: dict[str, list[RowRun]], training: dict[str, Config], folder: Path, logs: Path, jobs: int
) -> dict[str, Probe]:
    """Time per step, by row. Measurements are kept, so that a study can be resumed."""
    probes = {}
    for name, items in runs.items():
        first = items[0].training
        if first is None:
            continue
        file = folder / f"{name}.json"
        known = read_probe(file)
        if known is None or not known.is_of(training[first.name]):
            # a separate experiment, since that of the row may exist already
            words = [first.words[0], str(file), *first.words[1:], f"name={first.name}-probe"]
            program, log = Path(probe.__file__), logs / f"{first.name}.log"
            await run_file(program, f"{name}, {probe.TIMED} timed steps", words, log, threads_of_one(jobs))
            known = read_probe(file)
        assert known is not None
        probes[name] = known
    return probes


def _lasting(minutes: float, runs: Sequence[RowRun], measured: Probe | None) -> list[RowRun]:
    """The runs of a row, with as many iterations as fit into this time."""
    if measured is None:
        return list(runs)
    iterations = measured.iterations(minutes)
    step = f"{measured.seconds_per_step:.3g} s per step"
    logger().info(f"{runs[0].row}: {step}, {iterations:,} iterations in {minutes:g} min")
    return [replace(run, training=run.training and run.training.lasting(iterations)) for run in runs]


def _with_costs(setup: Setup, runs: dict[str, list[RowRun]], size: tuple[int, int]) -> Setup:
    """The setup with the cost of the network of each row, measured one after the other."""
    for name, (first, *_) in runs.items():
        test = first.tests[0]
        place, cost = cost_of(test.options_with_weights(), size, test.results.cost)
        setup = replace(setup, place=place, costs=setup.costs | {name: cost})
    return setup


def _budgets(runs: dict[str, list[RowRun]]) -> Budget | dict[str, Budget]:
    """The budget of all trainings, or by row if they differ."""
    budgets = {name: _budget(run.training.options()) for name, (run, *_) in runs.items() if run.training}
    first = next(iter(budgets.values()), None)
    return first if first is not None and all(item == first for item in budgets.values()) else budgets


def _budget(config: Config) -> Budget:
    train, data = config.train, config.datasets["train"]
    assert train is not None
    crops = data.batch_size_total or (data.batch_size_per_gpu or 1) * train.accumulate
    # Transforms replace gt_size, so one of them may crop.
    transforms = build_transforms(data.options.get("transforms") or ())
    sides = [transform.least_side for transform in transforms if transform.one_size]
    return Budget(train.total_iter, crops, data.options.get("gt_size") or next(iter(sides), None))


def _write_page(page: Path, tests: Sequence[RowTest]) -> None:
    if len(tests) < 2:
        logger().info("no comparison page: it needs at least two rows")
    elif not all(test.results.report.is_file() for test in tests):
        logger().info("no comparison page: val.report is false")
    else:
        for note in compare([test.results.root for test in tests], page):
            logger().info(f"note: {note}")
        logger().info(f"comparison: {page}")
