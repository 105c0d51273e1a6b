"""How loading grows with workers and training with processes: ``python scripts/benchmark/parallel.py``.

Processes share the samples of a step, have one thread each, and exchange gradients by gloo. The model of
docs/scaling.md says what a step takes: that of one process, shared among as many as there are cores, and the
part of the exchange that the backward pass does not hide. The exchange is measured alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from exponents import panel
from inputs import write_training_set
from report import circumstances, replace_block, table

from basicsr.archs.nafnet import NAFNet
from basicsr.config.cli import run_command
from basicsr.config.schema import DatasetOptions
from basicsr.data.loader import batches, train_loader
from basicsr.engine.optimizers import AdamW
from basicsr.engine.trainer import Hook, StepSettings, Trainer
from basicsr.losses import PSNRLoss
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.preparation.layouts.make_store import make_store
from basicsr.reporting.line_chart import to_png
from basicsr.utils.allocator import keep_freed_memory
from basicsr.utils.cores import usable_cores
from basicsr.utils.dist import Ranks
from basicsr.utils.files import write_bytes
from basicsr.utils.registry import DATASETS
from basicsr.utils.typed_path import typed_path

SHAPE = {"width": 16, "enc_blk_nums": [1, 1, 1, 28], "middle_blk_num": 1, "dec_blk_nums": [1, 1, 1, 1]}
SAMPLES, CROP = 4, 128  # of a step
STEPS, WARM_UP = 8, 2
STORED, REGIONS, STORED_CROP = 512, 64, 256
BATCH = 8  # of a loader
BACKWARD = 2 / 3  # of a step


class Step(NamedTuple):
    """Medians of one process among ``processes``.

    Attributes:
        processes: that train together.
        seconds: of a step.
        exchange: seconds for the gradients alone; 0 for one process.
    """

    processes: int
    seconds: float
    exchange: float

    def expected(self, alone: float, cores: int) -> float:
        """Least seconds of a step by the model.

        Args:
            alone: seconds of a step of one process.
            cores: that processes share.
        """
        working = alone / min(self.processes, cores)
        return working + max(0.0, self.exchange - BACKWARD * working)


def train(rank: int, processes: int, folder: str) -> None:
    """One process: steps, then exchanges alone; the first process writes a `Step` to ``step.json``."""
    torch.set_num_threads(1)
    keep_freed_memory()
    if processes > 1:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes
        )
    torch.manual_seed(rank)
    model = ImageRestorationModel({"g": NAFNet(**SHAPE)}, {"l_pix": PSNRLoss()})
    gt = torch.rand(SAMPLES // processes, 3, CROP, CROP)
    batch = {"gt": gt, "lq": gt + 0.1 * torch.randn(gt.shape), "key": [""] * len(gt)}
    optimizer = AdamW(model.networks.parameters(), lr=1e-5)
    trainer = Trainer(
        model,
        optimizer,
        lambda step, base: base,
        itertools.repeat(batch),
        StepSettings(),
        torch.device("cpu"),
    )
    clock = _Clock()
    trainer.hooks.append(clock)
    trainer.run(WARM_UP + STEPS)
    exchanges = [0.0]
    if processes > 1:
        gradients = torch.ones(sum(parameter.numel() for parameter in model.parameters()))
        exchanges = []
        for _ in range(WARM_UP + STEPS):
            dist.barrier()
            began = time.perf_counter()
            dist.all_reduce(gradients)
            exchanges.append(time.perf_counter() - began)
        dist.destroy_process_group()
    if rank == 0:
        step = Step(processes, statistics.median(clock.seconds[WARM_UP:]), statistics.median(exchanges))
        Path(folder, "step.json").write_text(json.dumps(step), encoding="utf-8")


class _Clock(Hook):
    """Notes the time of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._done = 0.0

    def after_step(self, trainer: Trainer) -> None:
        """Note what the step has added."""
        self.seconds.append(trainer.step_seconds - self._done)
        self._done = trainer.step_seconds


def step_of(processes: int) -> Step:
    """Start that many processes and measure."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(train, args=(processes, folder), nprocs=processes)  # type: ignore[no-untyped-call]
        return Step(*json.loads(Path(folder, "step.json").read_text(encoding="utf-8")))


def rate_of(dataset: Any, workers: int, taken: int) -> float:
    """Samples per second of a whole training loader, without a consumer that works.

    Args:
        taken: batches that are timed, after those that workers prepare while they start.
    """
    options = DatasetOptions(type=type(dataset).__name__, name="train", num_worker_per_gpu=workers)
    loader = train_loader(dataset, options, BATCH, Ranks(), seed=0)
    source = batches(loader)
    for _ in range(1 + 2 * workers):
        next(source)
    began = time.perf_counter()
    for _ in range(taken):
        next(source)
    seconds = time.perf_counter() - began
    source.close()  # type: ignore[attr-defined]
    return taken * BATCH / seconds


def datasets(folder: Path) -> dict[str, tuple[Any, Any]]:
    """By the kind of their files: the data set with label maps, and the same one without."""
    split, store = folder / "split", folder / "store"
    split.mkdir(parents=True)
    write_training_set(split, STORED, REGIONS)
    (split / "labels").rename(split / "grouped_masks")
    make_store(split, store, workers=1)

    def build(kind: str, place: Path, backend: str, **more: str) -> Any:
        roots = {"dataroot_gt": str(place / "target"), "dataroot_lq": str(place / "input")}
        options = {"gt_size": STORED_CROP, "use_flip": True, "use_rot": True, "io_backend": {"type": backend}}
        return DATASETS.build(kind, roots | more | options, seed=0, train=True)

    return {
        files: (
            build("PairedImageGroupMaskDataset", place, backend, dataroot_mask=str(place / "grouped_masks")),
            build("PairedImageDataset", place, backend),
        )
        for files, place, backend in (("PNG", split, "disk"), ("store", store, "lmdb"))
    }


def run(rounds: int, document: Path | None, model: Path | None, folder: Path | None) -> None:
    """Measure, print, draw, and write into ``document`` and into the document of the model."""
    cores = usable_cores()
    steps = [step_of(processes) for processes in (1, 2, 4)]
    with tempfile.TemporaryDirectory() as place:
        rates = {
            files: {
                workers: _rates(pair, workers, rounds, 8 if files == "PNG" else 40)
                for workers in range(1, cores + 1)
            }
            for files, pair in datasets(Path(place)).items()
        }
    head = ("processes", "samples each", "a step", "exchange alone", "model", "step / model")
    alone = steps[0].seconds
    rows = [
        [
            str(step.processes), str(SAMPLES // step.processes), f"{step.seconds * 1e3:.0f} ms",
            f"{step.exchange * 1e3:.0f} ms", f"{step.expected(alone, cores) * 1e3:.0f} ms",
            f"{step.seconds / step.expected(alone, cores):.2f}",
        ]
        for step in steps
    ]  # fmt: skip
    facts = circumstances(torch.device("cpu"))
    processes = f"{table(head, rows)}\n\n{facts}"
    head = ("crops", "workers", "with label maps", "without", "ratio", "goal", "met")
    rows = [
        [
            files, str(workers), f"{rate.masked:.0f} samples/s", f"{rate.plain:.0f} samples/s",
            f"{rate.ratio:.2f}", "at least 0.9", "yes" if rate.ratio >= 0.9 else "no",
        ]
        for files, of_files in rates.items()
        for workers, rate in of_files.items()
    ]  # fmt: skip
    loading = f"{table(head, rows)}\n\n{facts}\n* Rounds: {rounds}"
    print(f"{processes}\n\n{loading}")
    if folder is not None:
        write_bytes(folder / "growth_processes.png", draw(steps, cores))
    if document is not None:
        replace_block(document, "workers on cpu", loading)
    if model is not None:
        replace_block(model, "processes on cpu", processes)


class Rate(NamedTuple):
    """Samples per second of two loaders, medians over rounds; ``ratio`` is the median of their ratios."""

    masked: float
    plain: float
    ratio: float


def _rates(pair: tuple[Any, Any], workers: int, rounds: int, taken: int) -> Rate:
    """Rounds alternate between both."""
    found: list[tuple[float, float]] = []
    for number in range(rounds):
        first = number % 2
        by_place = {place: rate_of(pair[place], workers, taken) for place in (first, 1 - first)}
        found.append((by_place[0], by_place[1]))
    masked, plain = (statistics.median(values) for values in zip(*found, strict=True))
    return Rate(masked, plain, statistics.median(with_maps / without for with_maps, without in found))


def draw(steps: Sequence[Step], cores: int) -> bytes:
    """A PNG of the seconds of a step by processes, measured and by the model, with exponents."""
    curves = {
        "measured": [(step.processes, step.seconds) for step in steps],
        "model": [(step.processes, step.expected(steps[0].seconds, cores)) for step in steps],
    }
    title = f"A step of {SAMPLES} crops on {cores} cores, with exponents"
    return to_png([panel("seconds", curves)], title, across="log10 of processes")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="of each loader; default: 5")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table of loaders into it"
    )
    parser.add_argument("--write_model", type=typed_path, metavar="FILE", help="the table of processes")
    parser.add_argument("--charts", type=typed_path, metavar="FOLDER", help="for growth_processes.png")
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    run_command(lambda: run(typed.rounds, typed.write, typed.write_model, typed.charts), debug=False)


if __name__ == "__main__":
    main()
