"""Notices when training leaves its usual range, as it does before it blows up."""

from __future__ import annotations

import math
from collections import deque

from basicsr.config.paths import ExperimentPaths
from basicsr.engine.resume import write_trouble
from basicsr.engine.trainer import Hook, Trainer
from basicsr.utils.dist import Ranks
from basicsr.utils.log import logger, unwritten_is_told

_WINDOW = 100
_FEWEST = 20  # values that make a range
# Heavy tails of single batches stay within these; a blow-up exceeds them by orders of magnitude.
_SPREADS_ABOVE = 5.0
_LEAST_SPREAD = 0.1  # of the largest value
_TIMES_THE_NORM = 10.0
# A run that stays where it went has a new usual range.
_ADAPTED_AFTER = 1000
_SHOWN = 3  # inputs, in a warning


class Trouble(Hook):
    """Watches loss and gradient norm.

    A step is out of range whose loss or gradient is not finite, whose loss exceeds those of the last 100
    usual steps by five times their spread, or whose gradient norm exceeds theirs ten times. Trouble lasts
    until a step is usual again. While it lasts the experiment has a note of when it began, for resuming
    (`basicsr.engine.resume`). A step that is skipped because of an input, which is named, or because a
    scaler looks for its scale, does not count.

    Args:
        ranks: the main process keeps the note.

    Attributes:
        since: first iteration of the trouble; None without.
    """

    def __init__(self, paths: ExperimentPaths, ranks: Ranks) -> None:
        self.paths = paths
        self.ranks = ranks
        self.since: int | None = None
        self._losses: deque[float] = deque(maxlen=_WINDOW)
        self._norms: deque[float] = deque(maxlen=_WINDOW)

    def after_step(self, trainer: Trainer) -> None:
        if not self.ranks.is_main:
            return
        if trainer.was_skipped and trainer.broken_inputs:
            shown = ", ".join(trainer.broken_inputs[:_SHOWN])
            more = ", .." if len(trainer.broken_inputs) > _SHOWN else ""
            logger().warning(f"iteration {trainer.iteration} is skipped; not finite: {shown}{more}")
            return
        if trainer.was_skipped and self._looks_for_scale(trainer):
            return
        what = self._out_of_range(trainer)
        if what is None or (self.since is not None and trainer.iteration - self.since >= _ADAPTED_AFTER):
            if what is not None:
                self._losses.clear()
                self._norms.clear()
            self._end(trainer)
            self._losses.append(trainer.last_loss)
            self._norms.append(trainer.last_norm)
        elif self.since is None:
            self._begin(trainer, what)

    def _begin(self, trainer: Trainer, what: str) -> None:
        self.since = trainer.iteration
        self._note("a run that ends now would be resumed from its newest checkpoint")
        hint = "checkpoints from before are kept, and resumed from until it is over"
        logger().warning(f"iteration {trainer.iteration}: {what}; {hint}")

    def _end(self, trainer: Trainer) -> None:
        if self.since is not None:
            logger().info(f"iteration {trainer.iteration}: the trouble since iteration {self.since} is over")
            self.since = None
            self._note("a run that ends now would be resumed from before the trouble")

    def _note(self, if_not: str) -> None:
        with unwritten_is_told(if_not):
            write_trouble(self.paths, self.since)

    def _out_of_range(self, trainer: Trainer) -> str | None:
        """What is unusual, in words."""
        loss, norm = trainer.last_loss, trainer.last_norm
        if trainer.was_skipped:
            return f"the step is skipped, as {', '.join(trainer.broken_terms) or 'a gradient'} is not finite"
        if len(self._losses) < _FEWEST:
            return None
        low, high, largest = min(self._losses), max(self._losses), max(self._norms)
        spread = max(high - low, _LEAST_SPREAD * max(abs(low), abs(high)))
        if loss > high + _SPREADS_ABOVE * spread:
            return f"the loss is {loss:.3e}, before it was up to {high:.3e}"
        if norm > _TIMES_THE_NORM * largest > 0:
            return f"the norm of the gradient is {norm:.3e}, before it was up to {largest:.3e}"
        return None

    @staticmethod
    def _looks_for_scale(trainer: Trainer) -> bool:
        return trainer.scaler.is_enabled() and math.isfinite(trainer.last_loss)
