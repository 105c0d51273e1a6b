"""Training and testing of rows, each in a separate process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import basicsr
from basicsr.config.load import dump_config, load_config
from basicsr.config.paths import ExperimentPaths, ResultPaths, iteration_of
from basicsr.config.schema import Config, effective_options
from basicsr.config.stretch import stretched
from basicsr.utils.cores import usable_cores
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger
from basicsr.utils.shipped import weight_file

PACKAGE = Path(basicsr.__file__).parent


@dataclass(frozen=True)
class RowTraining:
    """A row trained with one seed.

    Args:
        name: of the experiment.
        seed: of all its random numbers.
        file: option file.
        overrides: of its options.
    """

    name: str
    seed: int
    file: Path
    overrides: Sequence[str]

    @property
    def weights(self) -> Path:
        """The final weights."""
        return ExperimentPaths.of(self.name).network("latest")

    @property
    def words(self) -> list[str]:
        """Option file and overrides."""
        return [str(self.file), f"name={self.name}", f"manual_seed={self.seed}", *self.overrides]

    def options(self) -> Config:
        """Its options.

        Raises:
            OptionError: if they have mistakes.
        """
        file, *overrides = self.words
        return load_config(file, overrides, "train")

    def lasting(self, iterations: int) -> RowTraining:
        """The same with a different number of iterations, schedule and warm-up in proportion."""
        train = self.options().train
        assert train is not None
        return replace(self, overrides=[*self.overrides, *stretched(train, iterations)])

    def require_same_options(self) -> None:
        """Check that an existing experiment was started with these options.

        Raises:
            UserError: if the experiment exists and was started with others.
        """
        experiment = ExperimentPaths.of(self.name)
        if experiment.newest_state() is None:
            return
        before = decisive_options(load_config(experiment.config(0), (), "train"))
        now = decisive_options(self.options())
        for key in {**before, **now}:
            if before.get(key) != now.get(key):
                what = f"started with {key} {before.get(key)}, now {now.get(key)}"
                raise UserError(f"{experiment.root}: {what}; use that, or move the folder away")

    def is_done(self) -> bool:
        """Whether all iterations are done."""
        state = ExperimentPaths.of(self.name).newest_state()
        train = self.options().train
        assert train is not None
        return state is not None and iteration_of(state) >= train.total_iter


@dataclass(frozen=True)
class RowTest:
    """A row tested with one option file.

    Args:
        name: of the results.
        file: option file.
        overrides: of its options.
        given: whether the weights exist already, and describe their network.
        weights: a file, or the name of a network whose weights are bundled; None for a network without any.
        shown: whether it writes pictures and a report, not only numbers.
    """

    name: str
    file: Path
    overrides: Sequence[str]
    given: bool
    weights: str | None
    shown: bool

    @property
    def results(self) -> ResultPaths:
        return ResultPaths.of(self.name)

    @property
    def words(self) -> list[str]:
        """Option file and overrides."""
        return self._words(self.weights)

    def options(self) -> Config:
        """Its options, except weights that may have to be trained first.

        Raises:
            OptionError: if they have mistakes.
        """
        file, *overrides = self._words(self.weights if self.given else None)
        return load_config(file, overrides, "test")

    def options_with_weights(self) -> Config:
        """Its options, once the weights exist.

        Raises:
            OptionError: if they have mistakes, or there are no weights.
        """
        file, *overrides = self.words
        return load_config(file, overrides, "test")

    def is_done(self) -> bool:
        """Whether there are results for the existing weights, with the same options."""
        config = self.options_with_weights()
        written = [self.results.metrics_json, *([self.results.report] if config.val.report else [])]
        return (
            all(path.is_file() for path in [self.results.config, *written])
            and min(path.stat().st_mtime for path in written) >= self._made()
            and self.results.config.read_text(encoding="utf-8") == dump_config(config)
        )

    def _made(self) -> float:
        """When the weights were written."""
        return 0.0 if self.weights is None else weight_file(self.weights).stat().st_mtime

    def _words(self, weights: str | None) -> list[str]:
        numbers_only = [] if self.shown else ["val.save_img=false", "val.report=false"]
        begin = [str(self.file), f"name={self.name}", *numbers_only]
        if not self.given:
            return [*begin, *self.overrides, f"path.pretrain_network_g={weights or 'null'}"]
        # before the overrides, which may change options of the network that the weights describe
        block = f"network_g={json.dumps({'weights': weights})}"
        return [*begin, "path.pretrain_network_g=null", block, *self.overrides]


@dataclass(frozen=True)
class RowRun:
    """A row with one seed, or with given weights.

    Args:
        row: its key in the study.
        training: None if the row has weights.
        tests: in the order of the option files.
    """

    row: str
    training: RowTraining | None
    tests: Sequence[RowTest]

    @property
    def name(self) -> str:
        return self.tests[0].name


async def finish_all(runs: Sequence[RowRun], jobs: int, logs: Path) -> None:
    """Train and test every run that is not done yet; the first failure stops the others.

    Args:
        jobs: runs at the same time.
        logs: folder; the output of the processes of a run is appended to ``<name>.log``.

    Raises:
        UserError: if one failed; names the run and its log.
    """
    threads = threads_of_one(jobs)
    places = asyncio.Semaphore(jobs)

    async def finish(run: RowRun) -> None:
        async with places:
            log = logs / f"{run.name}.log"
            if run.training is not None:
                await train(run.training, log)
            for item in run.tests:
                await test(item, log)

    async def train(training: RowTraining, log: Path) -> None:
        if training.is_done():
            logger().info(f"{training.name}: trained already")
        else:
            words = ["-opt", training.words[0], "--auto_resume", "--set", *training.words[1:]]
            await run_file(PACKAGE / "train.py", training.name, words, log, threads)

    async def test(item: RowTest, log: Path) -> None:
        if item.is_done():
            logger().info(f"{item.name}: tested already")
        else:
            words = ["-opt", item.words[0], "--set", *item.words[1:]]
            await run_file(PACKAGE / "test.py", item.name, words, log, threads)

    await asyncio.gather(*(finish(run) for run in runs))


def threads_of_one(jobs: int) -> dict[str, str]:
    """The environment that gives each of ``jobs`` processes its share of the cores, unless already set."""
    return {"OMP_NUM_THREADS": str(max(1, usable_cores() // jobs))}


async def run_file(
    program: Path, name: str, words: Sequence[str], log: Path, environment: dict[str, str]
) -> None:
    """Run a Python file in a separate process.

    Args:
        program: the file.
        name: of the run that it is for.
        words: its command line.
        log: file that its output is appended to.
        environment: added to that of this process, which takes precedence.

    Raises:
        UserError: if it failed; names the log.
    """
    logger().info(f"{name}: {program.name}, output in {log}")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), *words,
            stdout=file, stderr=asyncio.subprocess.STDOUT, env=environment | os.environ,
        )  # fmt: skip
        try:
            code = await process.wait()
        finally:  # nothing continues to train after the command was stopped
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
    if code != 0:
        raise UserError(f"{name}: {program.name} ended with exit code {code}; see {log}")


def decisive_options(config: Config) -> dict[str, Any]:
    """The options that affect the weights."""
    blocks = {
        "network_g": config.network_g,
        "train": config.train,
        "networks": config.networks,
        "model_opt": config.model_opt,
        "datasets.train": config.datasets["train"],
        "path": config.path,
    }
    return {"model_type": config.model_type} | {
        f"{block}.{key}": value
        for block, options in blocks.items()
        for key, value in effective_options(options).items()
    }
