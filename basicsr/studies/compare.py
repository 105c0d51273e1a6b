"""Rows on one budget, from option files to table and page."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from basicsr.config.schema import Config
from basicsr.reporting.comparison import compare
from basicsr.studies.job import ROWS, RowsJob
from basicsr.studies.runs import RowRun, finish_all
from basicsr.studies.table import Budget, read_table, to_json, to_markdown
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger

_OWN_KEYS = {"--set": ("name", "manual_seed"), "--test_set": ("name", "path.pretrain_network_g")}


def compare_rows(job: RowsJob) -> None:
    """Train and test what is not done yet; write ``table.md``, ``table.json`` and ``report.html``.

    Raises:
        OptionError: mistakes in the options, found before anything is trained.
        UserError: a run failed, or the rows do not have one budget.
    """
    _check_overrides(job)
    runs = {
        row: [
            RowRun(row, seed, job.group, job.training, job.testing, shown=seed == job.seeds[0])
            for seed in job.seeds
        ]
        for row in job.rows
    }
    # Seed by seed, so that a command that is stopped early leaves whole comparisons.
    everything = [run for one_seed in zip(*runs.values(), strict=True) for run in one_seed]
    budget = _common_budget({run.name: run.check() for run in everything})
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the processes as Ctrl-C does
    asyncio.run(finish_all(everything, job.jobs, job.output / "logs"))

    results = {row: [run.results.metrics_json for run in seeds] for row, seeds in runs.items()}
    table = read_table(results, job.seeds, budget)
    text = to_markdown(table, ROWS)
    write_bytes(job.output / "table.md", text.encode())
    write_bytes(job.output / "table.json", to_json(table).encode())
    logger().info(f"{job.output / 'table.md'} and {job.output / 'table.json'}\n\n{text}")
    _write_page(job, [seeds[0] for seeds in runs.values()])


def _check_overrides(job: RowsJob) -> None:
    for flag, overrides in (("--set", job.training), ("--test_set", job.testing)):
        for override in overrides:
            key = override.partition("=")[0]
            if key in _OWN_KEYS[flag]:
                what = f"{flag}: {key} is set by this command; leave it out (got {override!r})"
                raise OptionError(flag, [what])


def _common_budget(configs: dict[str, Config]) -> Budget:
    budgets = {name: _budget(config) for name, config in configs.items()}
    first, budget = next(iter(budgets.items()))
    for name, other in budgets.items():
        if other != budget:
            way_on = "make their option files agree, or give one budget with --set"
            raise UserError(f"{name} has {other}, {first} has {budget}; {way_on}")
    return budget


def _budget(config: Config) -> Budget:
    train, data = config.train, config.datasets["train"]
    assert train is not None
    crops = data.batch_size_total or (data.batch_size_per_gpu or 1) * train.accumulate
    return Budget(train.total_iter, crops, data.options.get("gt_size"))


def _write_page(job: RowsJob, runs: Sequence[RowRun]) -> None:
    page = job.output / "report.html"
    if len(runs) < 2:
        logger().info("no comparison page: it needs at least two rows")
    elif not all(run.results.report.is_file() for run in runs):
        logger().info("no comparison page: val.report is false")
    else:
        for note in compare([run.results.root for run in runs], page):
            logger().info(f"note: {note}")
        logger().info(f"comparison: {page}")
