"""How well an ordering network tells directions of time, and what those get that do not look.

``scores`` and ``swapped`` (P,) are what it says of the mirror pairs of a clip, outermost first, and of the
same pairs the other way round. *Hit*: the two of a pair lie on different sides. *Con*: all pairs of a clip
lie on one side. Neither says anything alone: who always answers the same has con 1 and hit 0, who tosses a
coin hit 1/2 and con 1/4 (of three pairs), and any antisymmetric score has hit 1.
"""

from __future__ import annotations

import os
import zlib
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from basicsr.metrics.base import RATE, metric
from basicsr.utils.convert import Count
from basicsr.utils.errors import require_choice
from basicsr.utils.image import Array

Scores = NDArray[np.floating[Any]]
Several = Annotated[int, Meta(ge=2)]
Baseline = Literal["coin", "constant", "brightness"]


@metric("hit", better="higher", unit=RATE, digits=1, per="clip")
def calculate_hit(scores: Scores, swapped: Scores, pair: Count = 1) -> float:
    """1 where a pair and its reversal get opposite signs, else 0.

    Args:
        pair: which one, from 1, the outermost.

    Raises:
        ValueError: the clip has no such pair.
    """
    _require(len(scores), pair)
    return float(scores[pair - 1] * swapped[pair - 1] < 0)


@metric("con", better="higher", unit=RATE, digits=1, per="clip")
def calculate_con(scores: Scores, pairs: Several = 3) -> float:
    """1 where the first ``pairs`` pairs of a clip get one sign, else 0.

    Raises:
        ValueError: the clip has fewer pairs.
    """
    _require(len(scores), pairs)
    return float(np.unique(scores[:pairs] >= 0).size == 1)


@metric("hit", better="higher", unit=RATE, digits=1, per="clip")
def calculate_trivial_hit(gt: Array, key: str, baseline: Baseline = "coin", pair: Count = 1) -> float:
    """`calculate_hit` of a rule that has learned nothing.

    Args:
        gt: the frames of the clip (T, H, W, 3).
        key: of the clip, decides its coins.
        baseline: ``coin``, always the same (``constant``), or by which of two frames is brighter
            (``brightness``).

    Raises:
        ValueError: as `calculate_hit`, or another ``baseline``.
    """
    return calculate_hit(*trivial_scores(gt, key, baseline), pair=pair)


@metric("con", better="higher", unit=RATE, digits=1, per="clip")
def calculate_trivial_con(gt: Array, key: str, baseline: Baseline = "coin", pairs: Several = 3) -> float:
    """`calculate_con` of a rule that has learned nothing; arguments as of `calculate_trivial_hit`."""
    return calculate_con(trivial_scores(gt, key, baseline)[0], pairs=pairs)


def trivial_scores(gt: Array, key: str, baseline: Baseline) -> tuple[Scores, Scores]:
    """``scores`` and ``swapped`` of a rule that has learned nothing; see `calculate_trivial_hit`."""
    require_choice("baseline", baseline, ("coin", "constant", "brightness"))
    half = len(gt) // 2
    if baseline == "coin":
        generator = np.random.default_rng(zlib.crc32(os.fsencode(key)))
        there, back = generator.choice([-1.0, 1.0], (2, half))
        return there, back
    if baseline == "constant":
        return np.ones(half), np.ones(half)
    light = gt.mean(axis=(1, 2, 3), dtype=np.float64)
    gain = light[:half] - light[::-1][:half]
    return gain, -gain


def _require(count: int, wanted: int) -> None:
    if wanted > count:
        raise ValueError(f"pair {wanted} is asked for, but the clip has {count} mirror pairs")
