"""Runs of consecutive frames, and windows of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np


def frame_runs(keys: Iterable[str]) -> Iterator[list[str]]:
    """Runs of consecutive frames, in the order of the numbers in their names, so 10 comes after 9.

    A folder of frames is one run, unless the numbers at the end of their names have gaps.

    Args:
        keys: of a storage.
    """
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        by_folder[str(PurePosixPath(key).parent)].append(key)
    for of_folder in by_folder.values():
        yield from _runs(sorted(of_folder, key=_natural))


def frame_windows(
    keys: Iterable[str], frames: int, gap: int = 1, stride: int | None = None
) -> dict[str, list[str]]:
    """The consecutive frames of each window by the key of its first frame.

    Args:
        keys: of a storage.
        frames: number of selected frames in a window, every ``gap``-th one.
        gap: distance from one of them to the next.
        stride: distance from the start of one window to that of the next; None starts after its last frame.
    """
    length = (frames - 1) * gap + 1
    return {
        run[start]: run[start : start + length]
        for run in frame_runs(keys)
        for start in range(0, len(run) - length + 1, stride or length)
    }


def _runs(keys: Sequence[str]) -> Iterator[list[str]]:
    """Split where the last number in the names increases by more than elsewhere."""
    numbers = [int(match[0]) if (match := re.search(r"\d+$", key)) else None for key in keys]
    if len(keys) < 2 or None in numbers:
        yield list(keys)
        return
    steps = np.diff(np.array(numbers, dtype=np.int64))
    breaks = np.flatnonzero(steps != steps[steps > 0].min(initial=np.iinfo(np.int64).max)) + 1
    for begin, end in pairwise([0, *breaks.tolist(), len(keys)]):
        yield list(keys[begin:end])


def _natural(key: str) -> list[tuple[int, str]]:
    """Sort key in which numbers compare as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key)]
