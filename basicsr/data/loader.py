"""From a data set to batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from basicsr.config.schema import DatasetOptions
from basicsr.data.paired import ImageDataset
from basicsr.data.sampler import ShareSampler, TrainSampler
from basicsr.utils.cores import usable_cores
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.interruption import serve_parent
from basicsr.utils.plugins import load_plugins, loaded_plugins

Batch = dict[str, Any]


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
        way_on = f"choose a multiple of {batches_a_step}, or another number of processes"
        raise OptionError(key, [f"{key}: {what}; {way_on} (got {total})"])
    return total // batches_a_step


def train_loader(
    dataset: ImageDataset,
    options: DatasetOptions,
    batch_size: int,
    ranks: Ranks,
    seed: int,
    samples_done: int = 0,
) -> DataLoader[Batch]:
    """Endless training batches of this process, from position ``samples_done`` of the common stream on."""
    sampler = TrainSampler(
        len(dataset) * options.dataset_enlarge_ratio,
        batch_size,
        ranks.rank,
        ranks.world_size,
        seed,
        options.use_shuffle,
        samples_done,
    )
    workers = _workers(options, ranks)
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        prefetch_factor=options.num_prefetch_queue if workers else None,
        pin_memory=_pin(options),
        worker_init_fn=partial(_start_worker, loaded_plugins()),
        generator=torch.Generator(),  # else starting workers would draw from the one that training uses
    )


def evaluation_loader(dataset: ImageDataset, options: DatasetOptions, ranks: Ranks) -> DataLoader[Batch]:
    """Whole images one at a time, each by exactly one process."""
    return DataLoader(
        dataset,
        batch_size=1,
        sampler=ShareSampler(len(dataset), ranks.rank, ranks.world_size),
        num_workers=_workers(options, ranks),
        pin_memory=_pin(options),
        worker_init_fn=partial(_start_worker, loaded_plugins()),
        generator=torch.Generator(),
    )


def batches(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """Iterate ``loader``; a `UserError` of a worker stays one line, without a traceback in its text."""
    iterator = iter(loader)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except UserError as error:
            raise UserError(str(error).split("UserError: ")[-1].strip()) from None
        yield batch


def _workers(options: DatasetOptions, ranks: Ranks) -> int:
    return min(options.num_worker_per_gpu, usable_cores() // ranks.local_world_size)


def _pin(options: DatasetOptions) -> bool:
    wanted = options.pin_memory or options.prefetch_mode == "cuda"
    return wanted and torch.cuda.is_available()


def _start_worker(plugins: Sequence[str], _: int) -> None:
    serve_parent()
    cv2.setNumThreads(0)  # the workers are the threads
    load_plugins(plugins, "plugins")
