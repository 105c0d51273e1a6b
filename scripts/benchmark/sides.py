"""Two networks with the same weights: whether they give the same, how long they take, what they need."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from inputs import photo
from memory import peak_memory, printed_bytes, reset_peak
from timing import Goal, interleave
from torch import Tensor, nn

from basicsr.utils.errors import UserError

HEAD = ("network: ours / reference", "what", "ours", "reference", "ratio", "goal", "met", "checked before")
TOLERANCE = 1e-4  # of the largest value
GOAL = Goal("cost", 1.05)
SIDES = ("ours", "reference")


@dataclass(frozen=True)
class Sides:
    """Two networks with the same weights."""

    ours: nn.Module
    reference: nn.Module


def example(side: int) -> Tensor:
    """(1, 3, side, side) in [0, 1]."""
    pixels = photo("astronaut.png", side, side).transpose(2, 0, 1).copy()
    return torch.from_numpy(pixels)[None] / 255


@dataclass(frozen=True)
class Case:
    """A network.

    Args:
        network: its registered name.
        size: what of it is run, in words.
        reference: the other implementation, in words.
        prepare: builds both.
        example: side in pixels -> what both take.
    """

    network: str
    size: str
    reference: str
    prepare: Callable[[], Sides]
    example: Callable[[int], Tensor] = example


@torch.no_grad()
def agree(sides: Sides, x: Tensor) -> str:
    """How equal the results are.

    Raises:
        UserError: not equal enough.
    """
    ours, reference = sides.ours.eval()(x), sides.reference.eval()(x)
    if ours.shape != reference.shape:
        raise UserError(f"shapes {tuple(ours.shape)} and {tuple(reference.shape)}: nothing to compare")
    difference = float((ours - reference).abs().max() / reference.abs().max())
    if not difference <= TOLERANCE:
        raise UserError(f"results differ by {difference:g} of the largest value: nothing to compare")
    return f"max difference {difference:.1g} of the largest value (≤ {TOLERANCE:g})"


@torch.no_grad()
def forward(net: nn.Module, x: Tensor) -> None:
    """As in a test."""
    net(x)


def training_step(net: nn.Module, x: Tensor) -> None:
    """Forward and backward, without the optimizer, which is the same for both sides."""
    loss = (net(x) - 0.5).abs().mean()
    loss.backward()
    net.zero_grad(set_to_none=True)


STEPS = {"forward": forward, "training step": training_step}


def measure(case: Case, side: int, rounds: int, growth_of: Sequence[str]) -> list[list[str]]:
    """The three lines of a network.

    Args:
        growth_of: command whose last words are one of `SIDES`, and that prints `growth` of a training step.
    """
    title = f"{case.network}, {case.size}: ours / {case.reference}"

    def line(what: str, ours: float, reference: float, ratio: float, unit: str) -> list[str]:
        figures = (f"{ours:,.0f} {unit}", f"{reference:,.0f} {unit}", f"{ratio:.3g}×")
        return [title, what, *figures, str(GOAL), "yes" if GOAL.met_by(ratio) else "no", agreement]

    sides, x = case.prepare(), case.example(side)
    agreement = agree(sides, x)
    lines = []
    for what, step in STEPS.items():
        for net in (sides.ours, sides.reference):
            net.train(step is training_step)
        ours, reference = interleave(partial(step, sides.ours, x), partial(step, sides.reference, x), rounds)
        ratio = statistics.median(map(GOAL.ratio, ours, reference))
        lines.append(line(what, statistics.median(ours), statistics.median(reference), ratio, "ms"))
    peaks = [printed_bytes([*growth_of, kind]) / 1e6 for kind in SIDES]
    lines.append(line("memory of a training step", *peaks, GOAL.ratio(*peaks), "MB"))
    return lines


def growth(net: nn.Module, x: Tensor, what: str) -> int:
    """Bytes by which the peak of this process rises in one of `STEPS` (Linux)."""
    net.train(what == "training step")
    training_step(nn.Conv2d(3, 3, 3, padding=1), torch.rand(1, 3, 64, 64))  # what the first call of all loads
    before = reset_peak()
    STEPS[what](net, x)
    return peak_memory() - before
