"""Train the same option files on two commits and compare the loss of every step, bit for bit.

A change that should not affect results leaves them equal. Each run is on the CPU with one thread and the
seed of its option file; data sets and experiments are those of the current folder and of a temporary one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from basicsr.config.cli import run_command
from basicsr.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
DEMO = [f"options/train/Demo/{name}.yml" for name in ("NAFNet", "MaskNAFNet", "SegNAFNet-MAP", "SegNAFNet")]
EXAMPLE = "example: python scripts/compare_losses.py main            # the files here against those of main"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", help="commit to compare with")
    parser.add_argument("after", nargs="?", help="commit that is compared (default: the working tree)")
    parser.add_argument("--opt", nargs="+", default=DEMO, metavar="FILE", help="default: the Demo files")
    parser.add_argument("--steps", type=int, default=30, metavar="N", help="default: 30")
    typed = parser.parse_args()
    run_command(lambda: compare(typed.before, typed.after, typed.opt, typed.steps), debug=False)


def compare(before: str, after: str | None, options: list[str], steps: int) -> None:
    """Print a line for each option file.

    Raises:
        UserError: a run fails, or losses differ.
    """
    different = []
    with _checkout(before) as old, _checkout(after) as new:
        for file in options:
            first, second = (losses(folder, file, steps) for folder in (old, new))
            if first == second:
                print(f"{file}: {steps} steps equal, the last loss is {second[-1]!r}")
                continue
            different.append(file)
            step = next(number for number, loss in enumerate(first) if loss != second[number])
            print(f"{file}: differs from step {step + 1} on, {first[step]!r} and {second[step]!r}")
    if different:
        raise UserError(f"{len(different)} of {len(options)} differ: {', '.join(different)}")


def losses(checkout: Path, option_file: str, steps: int) -> list[float]:
    """The loss of each step of a training run with the code and the option file of a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "datasets").symlink_to(Path("datasets").resolve())
        words = [
            "name=compared", f"train.total_iter={steps}", "num_gpu=0", "logger.print_freq=1",
            f"logger.save_checkpoint_freq={steps}", "val.val_freq=null",
            "datasets.train.num_worker_per_gpu=0",
        ]  # fmt: skip
        program = [sys.executable, checkout / "basicsr/train.py", "-opt", checkout / option_file]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
        line = [*program, "--set", *words]
        done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            output = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise UserError(f"{checkout / option_file}: training ended with {done.returncode}: {output[0]}")
        events = (place / "experiments/compared/events.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in events]
    return [row["loss"] for row in rows if "loss" in row]


@contextmanager
def _checkout(commit: str | None) -> Iterator[Path]:
    """The files of a commit in a temporary folder; None is the working tree."""
    if commit is None:
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        _git("worktree", "add", "--quiet", "--detach", str(place), commit)
        try:
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*words: str) -> None:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"git {' '.join(words)}: {done.stderr.strip()}")


if __name__ == "__main__":
    main()
