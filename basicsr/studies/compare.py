"""A study, from its file to table and page."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from basicsr.config.paths import RESULTS
from basicsr.config.schema import Config
from basicsr.metrics.base import MetricFacts, describe
from basicsr.reporting.comparison import compare
from basicsr.studies.job import StudyJob
from basicsr.studies.runs import RowRun, finish_all
from basicsr.studies.study import OF_TEST, OF_TRAINING, Row, Study, load_study
from basicsr.studies.table import Budget, read_table, to_json, to_markdown
from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger


def compare_rows(job: StudyJob) -> None:
    """Train and test what is not done yet; write ``table.md``, ``table.json`` and ``report.html``.

    Raises:
        OptionError: mistakes in the study or in options, found before anything is trained.
        UserError: a run failed, or the rows do not have one budget.
    """
    study = load_study(job.study)
    _check_flags(job, study)
    seeds = job.seeds or study.seeds
    output = job.output or RESULTS / f"{job.group or study.group}-{study.name}"
    chosen = {name: row for name, row in study.rows.items() if job.rows is None or name in job.rows}
    runs = {
        name: [_run(job, study, name, row, seed, seeds[0]) for seed in seeds] for name, row in chosen.items()
    }
    # Seed by seed, so that a command that is stopped early leaves whole comparisons.
    everything = [run for one_seed in zip(*runs.values(), strict=True) for run in one_seed]
    budget = _common_budget(everything, _training_options(everything, study, job.study), study)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the processes as Ctrl-C does
    asyncio.run(finish_all(everything, job.jobs, output / "logs"))

    results = {row: [run.results.metrics_json for run in seeds] for row, seeds in runs.items()}
    metrics = _shown(everything, study)
    table = read_table(results, seeds, budget, metrics, study.reference)
    text = to_markdown(table, study.labels, metrics)
    write_bytes(output / "table.md", text.encode())
    write_bytes(output / "table.json", to_json(table).encode())
    logger().info(f"{output / 'table.md'} and {output / 'table.json'}\n\n{text}")
    _write_page(output / "report.html", [seeds[0] for seeds in runs.values()])


def _shown(runs: Sequence[RowRun], study: Study) -> dict[str, MetricFacts]:
    """The metrics of the table in their order, and behind them those of the input."""
    measured: dict[str, MetricFacts] = {}
    for run in runs:
        measured |= describe(run.test_options().val.judged_by)
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


def _run(job: StudyJob, study: Study, name: str, row: Row, seed: int, first_seed: int) -> RowRun:
    group = job.group or study.group

    def option_file(path: str | None) -> Path:
        assert path is not None, "checked by load_study"
        return _beside(job.study, path.replace("{group}", group).replace("{row}", name))

    return RowRun(
        row=name,
        name=f"{group}-{name}-seed{seed}",
        seed=seed,
        train_file=option_file(row.train or study.train),
        test_file=option_file(row.test or study.test),
        training=[*study.set, *row.set, *job.training],
        testing=[*study.test_set, *row.test_set, *job.testing],
        shown=seed == first_seed,
    )


def _beside(file: Path, path: str) -> Path:
    """``path`` as it is meant in ``file``, said from the current folder where it lies below it."""
    place, here = (file.parent / path).resolve(), Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _training_options(runs: Sequence[RowRun], study: Study, file: Path) -> dict[str, Config]:
    """By name of the run, once the options of all are in order; the mistakes of all rows are told at once."""
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
        with noted(run.row):
            measured |= run.test_options().val.judged_by.keys()
        with noted(run.row):
            training[run.name] = run.training_options()
    if mistakes.lines:
        once = dict.fromkeys(mistakes.lines)  # a row has the same ones with every seed
        raise OptionError(str(file), list(once))
    for metric in study.metrics:
        if metric not in measured:
            mistakes.unknown("metrics", f"no test has {metric!r} in val.metrics", metric, sorted(measured))
    if mistakes.lines:
        raise OptionError(str(file), mistakes.lines)
    return training


def _common_budget(
    runs: Sequence[RowRun], training: dict[str, Config], study: Study
) -> Budget | dict[str, Budget]:
    """What all trainings have, or by row, where the study lets rows differ and they do."""
    budgets = {run.name: _budget(training[run.name]) for run in runs}
    first, budget = next(iter(budgets.items()))
    for name, other in budgets.items():
        if any(getattr(other, part) != getattr(budget, part) for part in study.same):
            way_on = "make their option files agree, or give one budget with --set"
            raise UserError(f"{name} has {other}, {first} has {budget}; {way_on}")
    if all(other == budget for other in budgets.values()):
        return budget
    return {run.row: budgets[run.name] for run in runs}


def _budget(config: Config) -> Budget:
    train, data = config.train, config.datasets["train"]
    assert train is not None
    crops = data.batch_size_total or (data.batch_size_per_gpu or 1) * train.accumulate
    return Budget(train.total_iter, crops, data.options.get("gt_size"))


def _write_page(page: Path, runs: Sequence[RowRun]) -> None:
    if len(runs) < 2:
        logger().info("no comparison page: it needs at least two rows")
    elif not all(run.results.report.is_file() for run in runs):
        logger().info("no comparison page: val.report is false")
    else:
        for note in compare([run.results.root for run in runs], page):
            logger().info(f"note: {note}")
        logger().info(f"comparison: {page}")
