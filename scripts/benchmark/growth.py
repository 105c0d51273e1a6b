"""Whether training grows: memory and open files over many small steps (Linux).

``python scripts/benchmark/growth.py --steps 20000`` trains a small network on made-up pairs as a user would,
with validation, checkpoints, EMA and a process that loads data, and looks at all its processes now and then.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from basicsr.config.cli import run_command
from basicsr.masks.label_map import write_label_map
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png

ROOT = Path(__file__).resolve().parents[2]
_TENTHS = (1, 5, 9)  # of the steps, that are compared; by the first everything has been loaded
_LOOK_EVERY = 2.0  # seconds


class Look(NamedTuple):
    """All processes of a run at one moment.

    Attributes:
        iteration: last one that the run has logged.
        megabytes: resident, without files such as libraries.
        files: that are open.
        processes: how many.
    """

    iteration: int
    megabytes: float
    files: int
    processes: int


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20_000, help="of training (default: 20000)")
    parser.add_argument("--most", type=float, default=16, help="megabytes of growth allowed (default: 16)")
    typed = parser.parse_args()
    run_command(lambda: measure(typed.steps, typed.most), debug=False)


def measure(steps: int, most: float) -> None:
    """Train, look, print.

    Raises:
        UserError: the run fails, or uses more than ``most`` megabytes more, or more open files, in the last
            tenth of its steps than in the second.
    """
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        looks = watched(Path(name), steps)
    parts = [[look for look in looks if place == 10 * look.iteration // steps] for place in _TENTHS]
    if not all(parts):
        raise UserError(f"--steps: {steps} end too soon to be measured; take more")
    for place, part in zip(_TENTHS, parts, strict=True):
        megabytes, files, processes = (_usual(part, what) for what in ("megabytes", "files", "processes"))
        what = f"{megabytes:.1f} MB, {files:.0f} open files, {processes:.0f} processes"
        print(f"from step {place * steps // 10}: {what} (medians of {len(part)} looks)")
    growth, files = (_usual(parts[-1], what) - _usual(parts[0], what) for what in ("megabytes", "files"))
    print(f"growth: {growth:+.1f} MB, {files:+.0f} open files")
    if growth > most or files > 0:
        raise UserError(f"training grows by {growth:.1f} MB and {files:.0f} open files in {steps} steps")


def _usual(looks: Sequence[Look], what: str) -> float:
    return statistics.median(getattr(look, what) for look in looks)


def watched(folder: Path, steps: int) -> list[Look]:
    """A run of so many steps in ``folder``, looked at from its first logged step to its last.

    Raises:
        UserError: it fails.
    """
    prepare(folder, steps)
    log = folder / "output.txt"
    looks: list[Look] = []
    with log.open("wb") as output:
        command = [sys.executable, str(ROOT / "basicsr/train.py"), "-opt", "run.yml"]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, env=os.environ | {"PYTHONPATH": path}
        )
        try:
            while process.poll() is None:
                look = look_at(process.pid, folder / "experiments/run/events.jsonl")
                if look is not None:
                    looks.append(look)
                time.sleep(_LOOK_EVERY)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0 or not looks:
        raise UserError(f"the run failed: {log.read_text(errors='replace')[-2000:]}")
    return looks


def prepare(folder: Path, steps: int) -> None:
    """Six pairs with label maps, and the option file."""
    generator = np.random.default_rng(0)
    for number in range(6):
        for kind in ("sharp", "blurred"):
            write_png(folder / kind / f"{number}.png", generator.integers(0, 256, (32, 40, 3), np.uint8))
        write_label_map(folder / "labels" / f"{number}.png", generator.integers(0, 5, (32, 40)))
    roots = {"dataroot_gt": "sharp", "dataroot_lq": "blurred", "dataroot_mask": "labels"}
    data = {"type": "PairedImageGroupMaskDataset", **roots, "num_worker_per_gpu": 1}
    options = {
        "name": "run",
        "num_gpu": 0,
        "datasets": {
            "train": {**data, "name": "train", "gt_size": 16, "use_flip": True, "batch_size_per_gpu": 1},
            "val": {**data, "name": "val"},
        },
        "network_g": {"type": "SegNAFNet", "width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 1e-3},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": steps},
            "total_iter": steps,
            "pixel_opt": {"type": "PSNRLoss"},
            "ema_decay": 0.999,
        },
        "val": {"val_freq": max(1, steps // 40), "metrics": {"psnr": {"type": "calculate_psnr"}}},
        "logger": {
            "print_freq": max(1, steps // 200),
            "save_checkpoint_freq": max(1, steps // 40),
            "keep_last": 2,
        },
    }
    (folder / "run.yml").write_text(yaml.safe_dump(options), encoding="utf-8")


def look_at(pid: int, events: Path) -> Look | None:
    """A run and its children; None before its first step and while it ends."""
    try:
        iteration = json.loads(events.read_bytes().splitlines()[-1])["iter"]
        pids = [pid, *_children(pid)]
        files = sum(len(os.listdir(f"/proc/{each}/fd")) for each in pids)
        return Look(iteration, sum(map(_own_memory, pids)) / 1e6, files, len(pids))
    except (OSError, IndexError, ValueError):
        return None


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [each for child in map(int, text.split()) for each in (child, *_children(child))]


def _own_memory(pid: int) -> int:
    """Bytes; libraries are left out, as files that other programs load and leave count for more or less."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


if __name__ == "__main__":
    main()
