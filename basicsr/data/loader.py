"""From a data set to batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import active_children
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from basicsr.config.schema import DatasetOptions
from basicsr.data.paired import ImageDataset
from basicsr.data.sampler import ShareSampler, TrainSampler
from basicsr.data.training_samples import TrainingSamples, collate
from basicsr.utils.cores import usable_cores
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.interruption import serve_parent, worker_killed
from basicsr.utils.log import logger
from basicsr.utils.plugins import load_plugins, loaded_plugins
from basicsr.utils.processes import Process

Batch = dict[str, Any]

_WARN_AFTER = 60.0  # seconds without a batch
_LOOKS_EVERY = 0.5


def batch_size_of_one(options: DatasetOptions, world_size: int, accumulate: int) -> int:
    """Samples in one training batch of one process.

    Args:
        world_size: number of processes.
        accumulate: batches of each process an optimiser step.

    Raises:
        OptionError: ``batch_size_total`` cannot be divided evenly.
    """
    total = options.batch_size_total
    if total is None:
        return options.batch_size_per_gpu or 1
    batches_a_step = world_size * accumulate
    if total % batches_a_step:
        key = "datasets.train.batch_size_total"
        what = f"{world_size} process(es) with train.accumulate {accumulate} cannot share it evenly"
        hint = f"choose a multiple of {batches_a_step}, or another number of processes"
        raise OptionError(key, [f"{key}: {what}; {hint} (got {total})"])
    return total // batches_a_step


def train_loader(
    dataset: ImageDataset,
    options: DatasetOptions,
    batch_size: int,
    ranks: Ranks,
    seed: int,
    samples_done: int = 0,
) -> DataLoader[Batch]:
    """Endless training batches of this process, from position ``samples_done`` of the common stream on.

    A batch may hold ``remarks``, see `basicsr.data.training_samples.collate`.
    """
    sampler = TrainSampler(
        len(dataset) * options.dataset_enlarge_ratio,
        batch_size,
        ranks.rank,
        ranks.world_size,
        seed,
        options.use_shuffle,
        samples_done,
    )
    samples: Dataset[Any] = TrainingSamples(dataset, options.unreadable)
    workers = _workers(options, ranks)
    return _PatientLoader(
        samples,
        options.worker_timeout,
        collate_fn=collate,
        num_workers=workers,
        batch_sampler=sampler,
        prefetch_factor=options.num_prefetch_queue if workers else None,
        pin_memory=_pin(options),
        worker_init_fn=partial(_start_worker, loaded_plugins()),
        generator=torch.Generator(),  # else starting workers would draw from the one that training uses
    )


def evaluation_loader(dataset: ImageDataset, options: DatasetOptions, ranks: Ranks) -> DataLoader[Batch]:
    """Whole images one at a time, each by exactly one process."""
    return _PatientLoader(
        dataset,
        options.worker_timeout,
        num_workers=_workers(options, ranks),
        batch_size=1,
        sampler=ShareSampler(len(dataset), ranks.rank, ranks.world_size),
        pin_memory=_pin(options),
        worker_init_fn=partial(_start_worker, loaded_plugins()),
        generator=torch.Generator(),
    )


def batches(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """Iterate ``loader``; a `UserError` of a worker stays one line, without a traceback in its text.

    Workers that give no batch are told of after a minute, and end the iteration after ``worker_timeout``.

    Raises:
        UserError: of a worker, or since they give no batch.
    """
    iterator = iter(loader)
    patience = _Patience(loader.patience if isinstance(loader, _PatientLoader) else float("inf"))
    try:
        while True:
            patience.begin()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except Exception as error:
                if patience.why is not None:
                    raise UserError(patience.why) from None
                if isinstance(error, UserError):
                    raise UserError(str(error).split("UserError: ")[-1].strip()) from None
                if isinstance(error, ConnectionError | EOFError):  # its memory was asked for when it was gone
                    raise worker_killed() from error
                raise
            patience.end()
            yield batch
    finally:
        patience.close()


class _PatientLoader(DataLoader[Batch]):
    """A loader that says how many seconds `batches` waits for a batch."""

    def __init__(self, dataset: Dataset[Any], patience: float, **options: Any) -> None:
        super().__init__(dataset, **options)
        self.patience = patience if self.num_workers else float("inf")


class _Patience:
    """Looks, from a thread, how long a batch is waited for; when it is too long, the workers are killed.

    The time limit of PyTorch's loader does not cover that the memory of a batch is asked for from the worker
    that made it.

    Args:
        seconds: infinite ones need no thread.

    Attributes:
        why: the workers were killed; None while they were not.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.why: str | None = None
        self._number = 0  # of the batch
        self._is_waiting = False
        self._closed = threading.Event()
        if seconds < float("inf"):
            threading.Thread(target=self._look, name="patience", daemon=True).start()

    def begin(self) -> None:
        """A batch is waited for from now on."""
        self._number += 1
        self._is_waiting = True

    def end(self) -> None:
        """It has come."""
        self._is_waiting = False

    def close(self) -> None:
        """No other one is waited for."""
        self._closed.set()

    def _look(self) -> None:
        number, waited, is_warned = 0, 0.0, False
        while not self._closed.wait(_LOOKS_EVERY):
            if not self._is_waiting or number != self._number:
                number, waited, is_warned = self._number, 0.0, False
                continue
            waited += _LOOKS_EVERY
            if waited >= self.seconds:
                self.why = f"no batch has come for {waited:.0f} s: {_likely_cause()}"
                for child in active_children():
                    child.kill()
                return
            if waited >= _WARN_AFTER and not is_warned:
                is_warned = True
                logger().warning(f"waiting for a batch for {waited:.0f} s: {_likely_cause()}")


def _likely_cause() -> str:
    for child in active_children():
        if child.pid is not None and Process.here(child.pid).state == "stopped":
            return f"process {child.pid}, which loads data, is stopped"
    return "the disk does not answer, or worker_timeout is too short for this data set"


def _workers(options: DatasetOptions, ranks: Ranks) -> int:
    return min(options.num_worker_per_gpu, usable_cores() // ranks.local_world_size)


def _pin(options: DatasetOptions) -> bool:
    wanted = options.pin_memory or options.prefetch_mode == "cuda"
    return wanted and torch.cuda.is_available()


def _start_worker(plugins: Sequence[str], _: int) -> None:
    serve_parent()
    cv2.setNumThreads(0)  # the workers are the threads
    load_plugins(plugins, "plugins")
