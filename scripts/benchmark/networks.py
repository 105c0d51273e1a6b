"""Compare networks with other implementations of them: ``python scripts/benchmark/networks.py``.

Time of a forward pass and of a training step, and the memory of the latter, on the CPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from network_cases import CASES
from report import circumstances, replace_block, table
from sides import HEAD, SIDES, growth, measure
from tqdm import tqdm

from basicsr.config.cli import run_command
from basicsr.utils.registry import ARCHS
from basicsr.utils.typed_path import typed_path

SIDE = 256


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each row; default: 5")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--size", type=int, default=SIDE, help=f"side of the image in pixels; default: {SIDE}"
    )
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    parser.add_argument("--growth", choices=SIDES, help="only print the growth of one side in bytes")
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    names = typed.only or list(CASES)
    if typed.growth is not None:
        case = CASES[names[0]]
        print(growth(getattr(case.prepare(), typed.growth), case.example(typed.size), "training step"))
    else:
        run_command(lambda: run(names, typed.rounds, typed.size, typed.write), debug=False)


def run(names: list[str], rounds: int, side: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    chosen = [name for name in names if CASES[name].network in ARCHS.names()]
    for name in names:
        if name not in chosen:
            print(f"{name}: left out, since there is no network {CASES[name].network}", file=sys.stderr)
    rows = []
    for name in tqdm(chosen, unit="network"):
        growth_of = [__file__, "--only", name, "--size", str(side), "--growth"]
        rows += measure(CASES[name], side, rounds, growth_of)
    text = f"{table(HEAD, rows)}\n\n{circumstances(torch.device('cpu'))}\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, "networks on cpu", text)


if __name__ == "__main__":
    main()
