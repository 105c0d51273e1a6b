"""Learning rates as functions of the step alone, so that there is no state to save or to lose.

``step`` counts finished iterations: the first iteration runs at ``step`` 0. ``base_lr`` is the rate given to
the optimizer. A schedule of N steps is defined from step 0 to step N; beyond, and where it would climb from
its first rate to its last, it raises `ValueError`.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from basicsr.config.schema import Whole
from basicsr.utils.convert import Count
from basicsr.utils.registry import SCHEDULES

Power = Annotated[float, Meta(gt=0)]


@SCHEDULES.register
def TrueCosineAnnealingLR(step: int, base_lr: float, T_max: Count, eta_min: float = 0.0) -> float:  # noqa: N802, N803
    """Cosine from ``base_lr`` to ``eta_min`` in ``T_max`` steps (SGDR, arXiv 1608.03983, eq. 5)."""
    _require_within(step, T_max, "T_max")
    _require_falling(base_lr, eta_min)
    return eta_min + (base_lr - eta_min) * (1 + math.cos(math.pi * step / T_max)) / 2


@SCHEDULES.register
def CosineAnnealingRestartLR(  # noqa: N802
    step: int,
    base_lr: float,
    periods: Sequence[Count],
    restart_weights: Sequence[float] = (1.0,),
    eta_min: float = 0.0,
) -> float:
    """A cosine per period, falling to ``eta_min``; ``restart_weights`` scale how far above each begins."""
    ends = list(itertools.accumulate(periods))
    if len(restart_weights) != len(periods):
        raise ValueError(
            f"periods {list(periods)} and restart_weights {list(restart_weights)} need one number each"
        )
    _require_within(step, sum(periods), "the sum of periods")
    _require_falling(base_lr, eta_min)
    current = bisect.bisect_left(ends, step)
    start = ends[current] - periods[current]
    falling = (1 + math.cos(math.pi * (step - start) / periods[current])) / 2
    return eta_min + restart_weights[current] * (base_lr - eta_min) * falling


@SCHEDULES.register
def MultiStepRestartLR(  # noqa: N802
    step: int,
    base_lr: float,
    milestones: Sequence[int],
    gamma: float = 0.1,
    restarts: Sequence[int] = (0,),
    restart_weights: Sequence[float] = (1.0,),
) -> float:
    """Times ``gamma`` at each milestone; a restart begins anew at ``restart_weights[i] * base_lr``."""
    if len(restarts) != len(restart_weights):
        raise ValueError(
            f"restarts {list(restarts)} and restart_weights {list(restart_weights)} need one number each"
        )
    passed = [
        (start, weight) for start, weight in zip(restarts, restart_weights, strict=True) if start <= step
    ]
    start, weight = max(passed, default=(0, 1.0))
    return base_lr * weight * gamma ** sum(start < milestone <= step for milestone in milestones)


@SCHEDULES.register
def MultiStepLR(step: int, base_lr: float, milestones: Sequence[int], gamma: float = 0.1) -> float:  # noqa: N802
    """Times ``gamma`` at each milestone."""
    return base_lr * gamma ** sum(milestone <= step for milestone in milestones)


@SCHEDULES.register
def StepLR(step: int, base_lr: float, step_size: Count, gamma: float = 0.1) -> float:  # noqa: N802
    """Times ``gamma`` every ``step_size`` steps."""
    return base_lr * gamma ** (step // step_size)


@SCHEDULES.register
def LinearLR(step: int, base_lr: float, total_iter: Count, flat_iter: Whole = 0) -> float:  # noqa: N802
    """``base_lr`` for ``flat_iter`` steps, then straight to 0 at step ``total_iter``."""
    _require_within(step, total_iter, "total_iter")
    if flat_iter >= total_iter:
        raise ValueError(f"flat_iter is {flat_iter}; it has to be less than total_iter, {total_iter}")
    return base_lr * min(1.0, (total_iter - step) / (total_iter - flat_iter))


@SCHEDULES.register
def PolynomialLR(step: int, base_lr: float, total_iter: Count, power: Power = 1.0) -> float:  # noqa: N802
    """base_lr (1 - step / total_iter)^power."""
    _require_within(step, total_iter, "total_iter")
    return float(base_lr * (1 - step / total_iter) ** power)


def warmed_up(rate: float, step: int, base_lr: float, warmup_iter: int) -> float:
    """``rate``, or in the first ``warmup_iter`` steps a line from 0 up to ``base_lr``; -1 is none."""
    return base_lr * (step + 1) / warmup_iter if step + 1 < warmup_iter else rate


def _require_within(step: int, steps: int, given_by: str) -> None:
    if step > steps:
        raise ValueError(f"{given_by} is {steps}, but the schedule has to last {step} steps")


def _require_falling(first: float, last: float) -> None:
    if last > first:
        raise ValueError(f"eta_min {last:g} is above the rate {first:g} that it begins with")
