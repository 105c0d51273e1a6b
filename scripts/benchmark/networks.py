"""Compare networks with other implementations of them: ``python scripts/benchmark/networks.py``.

Time of a forward pass and of a training step, and the memory of the latter, on the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path

import torch
from inputs import photo
from memory import growth_elsewhere, peak_memory, reset_peak
from network_cases import CASES, Case, Sides
from report import circumstances, replace_block, table
from timing import Goal, interleave
from torch import Tensor, nn
from tqdm import tqdm

from basicsr.config.cli import run_command
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS
from basicsr.utils.typed_path import typed_path

HEAD = ("network: ours / reference", "what", "ours", "reference", "ratio", "goal", "met", "checked before")
SIDE = 256
TOLERANCE = 1e-4  # of the largest value
GOAL = Goal("cost", 1.05)
SIDES = ("ours", "reference")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each row; default: 5")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--size", type=int, default=SIDE, help=f"side of the image in pixels; default: {SIDE}"
    )
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="put the table into this document, too"
    )
    parser.add_argument("--growth", choices=SIDES, help="only print the growth of one side in bytes")
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    names = typed.only or list(CASES)
    if typed.growth is not None:
        print(growth(CASES[names[0]].prepare(), typed.growth, typed.size))
    else:
        run_command(lambda: run(names, typed.rounds, typed.size, typed.write), debug=False)


def run(names: list[str], rounds: int, side: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    chosen = [name for name in names if CASES[name].network in ARCHS.names()]
    for name in names:
        if name not in chosen:
            print(f"{name}: left out, since there is no network {CASES[name].network}", file=sys.stderr)
    rows = [row for name in tqdm(chosen, unit="network") for row in measure(name, rounds, side)]
    text = f"{table(HEAD, rows)}\n\n{circumstances(torch.device('cpu'))}\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, "networks on cpu", text)


def measure(name: str, rounds: int, side: int) -> list[list[str]]:
    """The three lines of a network."""
    case = CASES[name]
    title = f"{case.network}, {case.size}: ours / {case.reference}"

    def line(what: str, ours: float, reference: float, ratio: float, unit: str) -> list[str]:
        figures = (f"{ours:,.0f} {unit}", f"{reference:,.0f} {unit}", f"{ratio:.3g}×")
        return [title, what, *figures, str(GOAL), "yes" if GOAL.met_by(ratio) else "no", agreement]

    agreement, times = _times(case, rounds, side)
    lines = []
    for what, (ours, reference) in times.items():
        ratio = statistics.median(map(GOAL.ratio, ours, reference))
        lines.append(line(what, statistics.median(ours), statistics.median(reference), ratio, "ms"))
    words = ("--only", name, "--size", str(side), "--growth")
    peaks = [growth_elsewhere(__file__, *words, kind) / 1e6 for kind in SIDES]
    lines.append(line("memory of a training step", *peaks, GOAL.ratio(*peaks), "MB"))
    return lines


def _times(case: Case, rounds: int, side: int) -> tuple[str, dict[str, tuple[list[float], list[float]]]]:
    """How equal both sides are, and milliseconds of each round by what was done."""
    sides, image = case.prepare(), example(side)
    agreement = agree(sides, image)
    times = {}
    for what, work in (("forward", forward), ("training step", training_step)):
        for net in (sides.ours, sides.reference):
            net.train(work is training_step)
        times[what] = interleave(
            partial(work, sides.ours, image), partial(work, sides.reference, image), rounds
        )
    return agreement, times


def example(side: int) -> Tensor:
    """(1, 3, side, side) in [0, 1]."""
    pixels = photo("astronaut.png", side, side).transpose(2, 0, 1).copy()
    return torch.from_numpy(pixels)[None] / 255


@torch.no_grad()
def agree(sides: Sides, image: Tensor) -> str:
    """How equal the results are.

    Raises:
        UserError: not equal enough.
    """
    ours, reference = sides.ours.eval()(image), sides.reference.eval()(image)
    if ours.shape != reference.shape:
        raise UserError(f"shapes {tuple(ours.shape)} and {tuple(reference.shape)}: nothing to compare")
    difference = float((ours - reference).abs().max() / reference.abs().max())
    if not difference <= TOLERANCE:
        raise UserError(f"results differ by {difference:g} of the largest value: nothing to compare")
    return f"max difference {difference:.1g} of the largest value (≤ {TOLERANCE:g})"


@torch.no_grad()
def forward(net: nn.Module, image: Tensor) -> None:
    """As in a test."""
    net(image)


def training_step(net: nn.Module, image: Tensor) -> None:
    """Forward and backward, without the optimizer, which is the same for both sides."""
    loss = (net(image) - image).abs().mean()
    loss.backward()
    net.zero_grad(set_to_none=True)


def growth(sides: Sides, kind: str, side: int) -> int:
    """Bytes by which the peak of this process rises in one training step of one side (Linux)."""
    net, image = getattr(sides, kind).train(), example(side)
    training_step(nn.Conv2d(3, 3, 3, padding=1), image)  # what the first call of all loads
    before = reset_peak()
    training_step(net, image)
    return peak_memory() - before


if __name__ == "__main__":
    main()
