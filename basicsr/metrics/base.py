"""What a metric says of itself, and how its values become the figure of a set.

A metric is a function, or a class whose instances are called, registered with what tables and pages have to
know of it::

    @metric("PSNR", unit="dB", better="higher")
    def calculate_psnr(restored, gt, crop_border: int = 0) -> float: ...

It is called with what its parameters name: ``restored``; ``gt``, the reference, which also has the name of
its field; ``lq``; any other field of the batch and any figure of the model, as an array without the batch's
axis; ``key``. Pictures are
uint8 (H, W, 3) RGB, or float64 in [0, 1] with ``use_image: false``. Of a function, parameters with a default
are its options; a class has its options in its constructor.

The value is one number, and a set has the mean (`basicsr.metrics.summary`). Where the model predicts a clip,
the metric is called frame by frame; one that is ``per="clip"`` gets (T, H, W, 3) whole and may return a
number a frame. Metrics that are no mean over images derive from `SetMetric`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isclass
from numbers import Real
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from basicsr.config.schema import MetricOptions
from basicsr.metrics.summary import Summary
from basicsr.utils.errors import UserError
from basicsr.utils.named import Named
from basicsr.utils.registry import METRICS

Better = Literal["higher", "lower"]
Per = Literal["image", "clip"]
Entry = TypeVar("Entry", bound=Callable[..., Any])
Value = TypeVar("Value")

RATE = "rate"


class SetMetric(ABC, Generic[Value]):
    """A metric whose figure of a set is no mean, such as a distance of distributions.

    ``__call__`` returns what `summarize` needs of an image, of any type that pickles. Numbers are written
    beside the image as well.
    """

    @abstractmethod
    def summarize(self, values: Sequence[Value]) -> float | Summary:
        """The figure of a set from the values of all its images (of all frames, where it is called by frame).

        Raises:
            ValueError: there is no figure of these values, e.g. of too few.
        """


@dataclass(frozen=True)
class MetricFacts:
    """What tables, curves and pages know of a metric.

    Args:
        type: name in option files.
        short_name: as tables write it, e.g. ``"PSNR"``.
        better: which values are.
        unit: ``"dB"``; empty where there is none. ``"rate"`` is a share of the images, shown in percent.
        digits: behind the decimal point.
        per: what it is called with where a model predicts clips: an image after the other, or a clip.
        averaged: the figure of a set is the mean of the finite values.
        headline: the figure that stands for a run where there is room for one, in curves and as gain over the
            input.
        input_of: the metric (its ``type``) of which this is the value of the degraded input.
        unchanged: what an input that is left as it is gets by definition; None where it has to be measured.
    """

    type: str
    short_name: str
    better: Better
    unit: str = ""
    digits: int = 4
    per: Per = "image"
    averaged: bool = True
    headline: bool = False
    input_of: str | None = None
    unchanged: float | None = None

    def title(self, name: str) -> str:
        """``name``, which a user gave the metric, for people: ``"PSNR aligned"`` of ``"psnr_aligned"``."""
        words = name.replace("_", " ")
        return re.sub(rf"\b{re.escape(self.short_name)}\b", self.short_name, words, flags=re.IGNORECASE)

    def number(self, value: float) -> str:
        """``value`` with its digits; a rate in percent."""
        return f"{100 * value if self.unit == RATE else value:.{self.digits}f}"

    @property
    def sign(self) -> str:
        """What stands behind `number` in tables: a percent sign or nothing."""
        return " %" if self.unit == RATE else ""


_FACTS: dict[str, MetricFacts] = {}


def metric(
    short_name: str,
    *,
    better: Better,
    unit: str = "",
    digits: int = 4,
    per: Per = "image",
    headline: bool = False,
    input_of: str | None = None,
    unchanged: float | None = None,
) -> Callable[[Entry], Entry]:
    """Decorator that registers a metric with what `MetricFacts` says of it, and leaves it as it is.

    Raises:
        ValueError: as `basicsr.utils.registry.Registry.register`.
    """

    def register(entry: Entry) -> Entry:
        METRICS.register(entry)
        averaged = not (isclass(entry) and issubclass(entry, SetMetric))
        _FACTS[entry.__name__] = MetricFacts(
            entry.__name__, short_name, better, unit, digits, per, averaged, headline, input_of, unchanged
        )
        return entry

    return register


def facts_of(type_name: str) -> MetricFacts:
    """What the metric of that name in option files says of itself.

    Raises:
        OptionError: there is none.
        UserError: it says nothing.
    """
    entry = METRICS[type_name]
    if type_name not in _FACTS:
        hint = "register it with @metric of basicsr.metrics.base"
        raise UserError(f"metric {type_name} of {entry.__module__} says no direction; {hint}")
    return _FACTS[type_name]


def describe(options: Mapping[str, MetricOptions]) -> dict[str, MetricFacts]:
    """What the metrics of an option file say of themselves, by the names that tables show."""
    return {name: facts_of(item.type) for name, item in options.items()}


def headline_of(metrics: Mapping[str, MetricFacts]) -> str | None:
    """Name of the first metric that stands for a run, if there is one."""
    return next((name for name, facts in metrics.items() if facts.headline), None)


def values_of_input(metrics: Mapping[str, MetricFacts]) -> dict[str, str]:
    """Name of each metric of the input -> name of the first metric beside which its values stand."""
    first: dict[str, str] = {}
    for name, facts in metrics.items():
        first.setdefault(facts.type, name)
    return {
        name: first[facts.input_of]
        for name, facts in metrics.items()
        if facts.input_of is not None and facts.input_of in first
    }


class Frames(list[Any]):
    """What a metric says of a clip, a value a frame."""


class Metric:
    """A metric with its options, ready to be called.

    Args:
        function: from `METRICS`, built; a `SetMetric` sums up for itself.
        facts: what it says of itself.
    """

    def __init__(self, function: Callable[..., Any], facts: MetricFacts) -> None:
        self.facts = facts
        self._call: Named[Any] = Named(function)
        # of a function with its options bound, no field of a batch may replace an option
        self._taken = self._call.needs if isinstance(function, partial) else self._call.takes
        self._set_metric: SetMetric[Any] | None = function if isinstance(function, SetMetric) else None

    @classmethod
    def of(cls, options: MetricOptions) -> Metric:
        """The metric of a block of an option file."""
        return cls(options.build(), facts_of(options.type))

    @property
    def needs(self) -> tuple[str, ...]:
        """What has to be offered to `measure`."""
        return self._call.needs

    def measure(self, offered: Mapping[str, Any]) -> Any:
        """The value of one sample.

        Args:
            offered: ``restored``, (H, W, 3) or (T, H, W, 3), ``gt``, ``lq`` and more by name. Of clips with
                as many frames as ``restored``, the metric of images gets one frame at a time, of all else the
                same.

        Returns:
            A number, `Frames`, or what the `SetMetric` returns.

        Raises:
            ValueError: the metric cannot judge this sample.
        """
        count = _frames(offered["restored"])
        taken = {name: offered[name] for name in self._taken if name in offered}
        if count is None or self.facts.per == "clip":
            return self._plain(self._call(taken))
        return Frames(self._plain(self._call(_frame(taken, number, count))) for number in range(count))

    def summarize(self, values: Iterable[Any]) -> Summary:
        """The figure of a set from the values of all its samples; of clips, every frame counts once.

        Raises:
            ValueError: the `SetMetric` has no figure for these.
        """
        flat = [item for value in values for item in (value if isinstance(value, Frames) else [value])]
        if self._set_metric is None:
            return Summary.of(flat)
        figure = self._set_metric.summarize(flat)
        return figure if isinstance(figure, Summary) else Summary(float(figure), infinite=0, undefined=0)

    def _plain(self, value: Any) -> Any:
        if self._set_metric is not None:
            return value
        return float(value) if np.ndim(value) == 0 else Frames(float(item) for item in value)


def registered(function: Callable[..., Any]) -> Metric:
    """A registered function without options, with what it says of itself."""
    return Metric(function, facts_of(function.__name__))


def as_numbers(value: Any) -> float | list[float] | None:
    """What is written beside a sample of a value from `Metric.measure`: numbers, and nothing of all else."""
    if isinstance(value, Frames):
        return [float(item) for item in value] if all(isinstance(item, Real) for item in value) else None
    return float(value) if isinstance(value, Real) else None


def _frames(picture: Any) -> int | None:
    return len(picture) if np.ndim(picture) == 4 else None


def _frame(offered: Mapping[str, Any], number: int, count: int) -> dict[str, Any]:
    return {
        name: value[number] if isinstance(value, np.ndarray) and _frames(value) == count else value
        for name, value in offered.items()
    }
