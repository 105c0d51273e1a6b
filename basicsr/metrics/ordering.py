"""How well an ordering network tells directions of time, and the scores of trivial rules.

``scores`` and ``swapped`` (P,) are its scores for the mirror pairs of a clip, outermost first, and for the
swapped pairs. *Hit*: a pair and the swapped pair lie on different sides. *Con*: all pairs of a clip lie on
one side. Neither is meaningful alone: a constant answer has con 1 and hit 0, a coin toss hit 1/2 and con 1/4
(with three pairs), and any antisymmetric score has hit 1.
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
    """1 if a pair and the swapped pair get opposite signs, else 0.

    Args:
        pair: number of the pair, from 1, the outermost.

    Raises:
        ValueError: if the clip has no such pair.
    """
    _require(len(scores), pair)
    return float(scores[pair - 1] * swapped[pair - 1] < 0)


@metric("con", better="higher", unit=RATE, digits=1, per="clip")
def calculate_con(scores: Scores, pairs: Several = 3) -> float:
    """1 if the first ``pairs`` pairs of a clip get the same sign, else 0.

    Raises:
        ValueError: if the clip has fewer pairs.
    """
    _require(len(scores), pairs)
    return float(np.unique(scores[:pairs] >= 0).size == 1)


@metric("hit", better="higher", unit=RATE, digits=1, per="clip")
def calculate_trivial_hit(gt: Array, key: str, baseline: Baseline = "coin", pair: Count = 1) -> float:
    """`calculate_hit` of a trivial rule.

    Args:
        gt: the frames of the clip (T, H, W, 3).
        key: of the clip; determines its coin tosses.
        baseline: a coin toss (``coin``), always the same (``constant``), or the brighter of two frames
            (``brightness``).

    Raises:
        ValueError: as `calculate_hit`, or if ``baseline`` is unknown.
    """
    return calculate_hit(*trivial_scores(gt, key, baseline), pair=pair)


@metric("con", better="higher", unit=RATE, digits=1, per="clip")
def calculate_trivial_con(gt: Array, key: str, baseline: Baseline = "coin", pairs: Several = 3) -> float:
    """`calculate_con` of a trivial rule; arguments as for `calculate_trivial_hit`."""
    return calculate_con(trivial_scores(gt, key, baseline)[0], pairs=pairs)


def trivial_scores(gt: Array, key: str, baseline: Baseline) -> tuple[Scores, Scores]:
    """``scores`` and ``swapped`` of a trivial rule; see `calculate_trivial_hit`."""
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
        raise ValueError(f"pair {wanted} is requested, but the clip has {count} mirror pairs")
