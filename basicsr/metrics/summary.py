"""From the values of a metric, one per image, to the figure of a set."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """The mean of the finite values, and how many others there are: none is dropped silently.

    One perfect image, whose PSNR is infinite, must not hide all others. ``format`` shows both:
    ``f"{summary:.2f}"`` is ``"30.12 (1 infinite)"``.

    Args:
        mean: arithmetic mean of the finite values. Without any, infinite if all values are infinite and of
            one sign, else not a number.
        infinite, undefined: how many values are infinite, and how many are not a number.
    """

    mean: float
    infinite: int
    undefined: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Summary:
        """The summary of some values."""
        values = [float(value) for value in values]
        infinite = [value for value in values if math.isinf(value)]
        undefined = sum(map(math.isnan, values))
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            return cls(statistics.fmean(finite), len(infinite), undefined)
        alike = len(set(infinite)) == 1 and not undefined
        return cls(infinite[0] if alike else math.nan, len(infinite), undefined)

    @property
    def left_out(self) -> dict[str, int]:
        """``infinite`` and ``undefined`` with their counts, if there are such values."""
        counts = {"infinite": self.infinite, "undefined": self.undefined}
        return {what: count for what, count in counts.items() if count}

    @property
    def left_out_text(self) -> str:
        """`left_out` in words: ``"2 infinite, 1 undefined"``, or nothing."""
        return ", ".join(f"{count} {what}" for what, count in self.left_out.items())

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}}" + (f" ({self.left_out_text})" if self.left_out else "")
