"""Time the package against plain formulations of the same results: ``python scripts/benchmark/speed.py``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from cases import CASES, Case
from report import circumstances, replace_block, table
from timing import Row, compare, threads
from tqdm import tqdm

from basicsr.config.cli import run_command
from basicsr.utils.allocator import keep_freed_memory
from basicsr.utils.errors import UserError
from basicsr.utils.typed_path import typed_path

HEAD = ("compared: ours / reference", "ours", "reference", "ratio", "goal", "met", "checked before")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds of each row; default: 15")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="cuda: only MAP and networks"
    )
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    usual = [name for name, case in CASES.items() if not case.on_request]
    run_command(lambda: run(typed.only or usual, typed.rounds, typed.device, typed.write), debug=False)


def run(names: list[str], rounds: int, device_name: str, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    device = torch.device(device_name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; measure with --device cpu")
    keep_freed_memory()  # as training and testing do
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32: results are compared, too
    chosen = [CASES[name] for name in names if CASES[name].on_gpu or device.type == "cpu"]
    rows = [measure(case, rounds, device) for case in tqdm(chosen, unit="row")]
    text = f"{table(HEAD, [_cells(row) for row in rows])}\n\n{circumstances(device)}\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, f"speed on {device.type}", text)


@torch.no_grad()
def measure(case: Case, rounds: int, device: torch.device) -> Row:
    """Prepare, check and time one case."""
    with tempfile.TemporaryDirectory() as folder, threads(1 if case.in_worker else None):
        pair = case.prepare(device, Path(folder))
        return compare(case.title, case.goal, pair.agreement, pair.ours, pair.reference, rounds)


def _cells(row: Row) -> list[str]:
    times = [f"{time:.3g} ms" if time < 100 else f"{time:.0f} ms" for time in (row.ours, row.reference)]
    return [row.name, *times, f"{row.ratio:.3g}×", str(row.goal), "yes" if row.met else "no", row.agreement]


if __name__ == "__main__":
    main()
