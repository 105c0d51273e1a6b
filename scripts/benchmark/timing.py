"""Two ways to the same result, timed side by side in one process, so that a slow minute hits both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import cv2
import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Goal:
    """A goal for a ratio.

    Args:
        kind: ``faster`` asks for reference / ours of at least ``bound``; ``cost`` for ours / reference of at
            most ``bound``.
        bound: dimensionless.
    """

    kind: Literal["faster", "cost"]
    bound: float

    def ratio(self, ours: float, reference: float) -> float:
        """The ratio of two times that this goal is about."""
        return reference / ours if self.kind == "faster" else ours / reference

    def met_by(self, ratio: float) -> bool:
        return ratio >= self.bound if self.kind == "faster" else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'at least' if self.kind == 'faster' else 'at most'} {self.bound:g}×"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: what is compared with what.
        ours: median milliseconds.
        reference: median milliseconds.
        ratio: median of the ratios of the rounds, in the direction of ``goal``.
        goal: what ``ratio`` has to be.
        agreement: what was found equal before anything was timed.
    """

    name: str
    ours: float
    reference: float
    ratio: float
    goal: Goal
    agreement: str

    @property
    def met(self) -> bool:
        return self.goal.met_by(self.ratio)


def interleave(ours: Work, reference: Work, rounds: int, warm_up: int = 2) -> tuple[list[float], list[float]]:
    """Milliseconds of each round of both; who goes first alternates.

    Work on a GPU has to wait for its own end.
    """
    times: tuple[list[float], list[float]] = [], []
    contestants = list(zip((ours, reference), times, strict=True))
    for number in range(warm_up + rounds):
        for work, noted in contestants:
            milliseconds = _time(work)
            if number >= warm_up:
                noted.append(milliseconds)
        contestants.reverse()
    return times


def compare(name: str, goal: Goal, agreement: str, ours: Work, reference: Work, rounds: int) -> Row:
    """Time both and sum up."""
    ours_times, reference_times = interleave(ours, reference, rounds)
    ratio = statistics.median(map(goal.ratio, ours_times, reference_times))
    return Row(
        name, statistics.median(ours_times), statistics.median(reference_times), ratio, goal, agreement
    )


def median_time(work: Work, rounds: int, warm_up: int = 2) -> float:
    """Milliseconds of one work alone, for an absolute goal."""
    return statistics.median([_time(work) for _ in range(warm_up + rounds)][warm_up:])


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Let PyTorch and OpenCV use so many threads; None leaves them unchanged."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    if number is not None:
        torch.set_num_threads(number)
        cv2.setNumThreads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _time(work: Work) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000
