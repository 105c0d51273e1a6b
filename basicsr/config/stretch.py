"""A training recipe made shorter or longer."""

from __future__ import annotations

import json
from typing import Any

from basicsr.config.schema import TrainOptions
from basicsr.utils.convert import Mistakes
from basicsr.utils.registry import SCHEDULES


def stretched(train: TrainOptions, iterations: int) -> list[str]:
    """``key=value`` overrides that make a training last this many iterations.

    Warm-up and all whole numbers of the schedule, which are steps, change in proportion and are rounded up:
    so a schedule that lasts as long as the run still does.

    Args:
        train: the recipe.
        iterations: of the whole training.
    """

    def in_proportion(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [in_proportion(item) for item in value]
        is_steps = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return -(-value * iterations // train.total_iter) if is_steps else value

    kind = train.scheduler.type
    schedule = {key: item.default for key, item in SCHEDULES.options(kind).items() if not item.required}
    # converted, so that a float is no whole number even where it was written as one
    schedule |= SCHEDULES.check(kind, train.scheduler.options, "train.scheduler", Mistakes())
    steps = {"total_iter": train.total_iter, "warmup_iter": train.warmup_iter}
    steps |= {f"scheduler.{key}": value for key, value in schedule.items()}
    return [f"train.{key}={json.dumps(in_proportion(value))}" for key, value in steps.items()]
