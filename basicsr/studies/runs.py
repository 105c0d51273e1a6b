"""Training and testing of rows, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import basicsr
from basicsr.config.load import dump_config, load_config
from basicsr.config.paths import ExperimentPaths, ResultPaths, iteration_of
from basicsr.config.schema import Config, effective_options
from basicsr.utils.cores import usable_cores
from basicsr.utils.errors import UserError
from basicsr.utils.log import logger

_ENTRY_POINTS = Path(basicsr.__file__).parent


@dataclass(frozen=True)
class RowRun:
    """One row trained with one seed, and tested.

    Args:
        row: its key in the study.
        name: of the experiment and of the results.
        seed: of the training.
        train_file, test_file: option files.
        training, testing: their overrides.
        shown: the test writes pictures and a report, not only numbers.
    """

    row: str
    name: str
    seed: int
    train_file: Path
    test_file: Path
    training: Sequence[str]
    testing: Sequence[str]
    shown: bool

    @property
    def weights(self) -> Path:
        return ExperimentPaths.of(self.name).network("latest")

    @property
    def results(self) -> ResultPaths:
        return ResultPaths.of(self.name)

    @property
    def train_words(self) -> list[str]:
        """Option file and overrides of the training."""
        return [str(self.train_file), f"name={self.name}", f"manual_seed={self.seed}", *self.training]

    @property
    def test_words(self) -> list[str]:
        """Option file and overrides of the test."""
        return [*self._test_words_without_weights(), f"path.pretrain_network_g={self.weights}"]

    def test_options(self) -> Config:
        """Those of the test but for the weights, which may have to be trained first.

        Raises:
            OptionError: mistakes in them.
        """
        file, *overrides = self._test_words_without_weights()
        return load_config(file, [*overrides, "path.pretrain_network_g=null"], "test")

    def training_options(self) -> Config:
        """Those of the training, once it is sure that they fit what is there of it.

        Raises:
            OptionError: mistakes in them.
            UserError: the experiment is there, begun with other options.
        """
        config = self._training_config()
        experiment = ExperimentPaths.of(self.name)
        if experiment.newest_state() is not None:
            begun = load_config(experiment.config(0), (), "train")
            before, now = _decisive(begun), _decisive(config)
            for key in {**before, **now}:
                if before.get(key) != now.get(key):
                    what = f"begun with {key} {before.get(key)}, now {now.get(key)}"
                    raise UserError(f"{experiment.root}: {what}; take that, or move the folder away")
        return config

    def is_trained(self) -> bool:
        """Whether all iterations are done."""
        state = ExperimentPaths.of(self.name).newest_state()
        train = self._training_config().train
        assert train is not None
        return state is not None and iteration_of(state) >= train.total_iter

    def is_tested(self) -> bool:
        """Whether there are results of the weights that are there, with the same options."""
        file, *overrides = self.test_words
        config = load_config(file, overrides, "test")
        written = [self.results.metrics_json, *([self.results.report] if config.val.report else [])]
        return (
            all(path.is_file() for path in [self.results.config, *written])
            and min(path.stat().st_mtime for path in written) >= self.weights.stat().st_mtime
            and self.results.config.read_text(encoding="utf-8") == dump_config(config)
        )

    def _training_config(self) -> Config:
        file, *overrides = self.train_words
        return load_config(file, overrides, "train")

    def _test_words_without_weights(self) -> list[str]:
        numbers_only = [] if self.shown else ["val.save_img=false", "val.report=false"]
        return [str(self.test_file), f"name={self.name}", *numbers_only, *self.testing]


async def finish_all(runs: Sequence[RowRun], jobs: int, logs: Path) -> None:
    """Train and test every run, as far as that is not done; the first failure stops the others.

    Args:
        jobs: runs at the same time.
        logs: folder; what the processes of a run say is appended to ``<name>.log``.

    Raises:
        UserError: one failed; names the run and its log.
    """
    threads = {"OMP_NUM_THREADS": str(max(1, usable_cores() // jobs))}
    places = asyncio.Semaphore(jobs)

    async def finish(run: RowRun) -> None:
        async with places:
            log = logs / f"{run.name}.log"
            if run.is_trained():
                logger().info(f"{run.name}: trained already")
            else:
                words = [run.train_words[0], "--auto_resume", "--set", *run.train_words[1:]]
                await _run_entry_point("train", run.name, words, log, threads)
            if run.is_tested():
                logger().info(f"{run.name}: tested already")
            else:
                words = [run.test_words[0], "--set", *run.test_words[1:]]
                await _run_entry_point("test", run.name, words, log, threads)

    await asyncio.gather(*(finish(run) for run in runs))


async def _run_entry_point(
    command: str, name: str, words: Sequence[str], log: Path, threads: dict[str, str]
) -> None:
    logger().info(f"{name}: {command}.py, output in {log}")
    program = [sys.executable, str(_ENTRY_POINTS / f"{command}.py"), "-opt", *words]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *program, stdout=file, stderr=asyncio.subprocess.STDOUT, env=threads | os.environ
        )
        try:
            code = await process.wait()
        finally:  # nothing goes on training behind a command that was stopped
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
    if code != 0:
        raise UserError(f"{name}: {command}.py ended with exit code {code}; {log} says why")


def _decisive(config: Config) -> dict[str, Any]:
    """The options on which the weights depend."""
    blocks = {
        "network_g": config.network_g,
        "train": config.train,
        "datasets.train": config.datasets["train"],
        "path": config.path,
    }
    return {
        f"{block}.{key}": value
        for block, options in blocks.items()
        for key, value in effective_options(options).items()
    }
