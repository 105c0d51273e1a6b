"""What every metric says of itself, and how metrics are called and summed up."""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from basicsr.config.schema import MetricOptions
from basicsr.metrics import SetMetric, metric
from basicsr.metrics.base import (
    RATE,
    Frames,
    Metric,
    MetricFacts,
    as_numbers,
    describe,
    facts_of,
    headline_of,
    values_of_input,
)
from basicsr.metrics.summary import Summary
from basicsr.utils.errors import UserError
from basicsr.utils.registry import METRICS

RNG = np.random.default_rng(0)
PHOTO = cv2.GaussianBlur(RNG.integers(0, 256, (200, 216, 3)).astype(np.float32), (0, 0), 1.5)
PHOTO = cv2.normalize(PHOTO, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def noisy(deviation: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, deviation, PHOTO.shape)
    return (PHOTO + noise).clip(0, 255).round().astype(np.uint8)


def moving(picture: np.ndarray) -> np.ndarray:
    """A clip (T, H, W, 3) in which the photo moves, behind what the picture adds to it."""
    added = picture.astype(int) - PHOTO
    frames = [np.roll(PHOTO, 2 * number, axis=1) + added for number in range(3)]
    return np.stack(frames).clip(0, 255).astype(picture.dtype)


def figure(name: str, result: np.ndarray) -> float:
    """What the metric says of a set of two samples with this result (or, measuring the input, this input)."""
    tool = Metric.of(MetricOptions(type=name))
    of_input = tool.facts.input_of is not None
    pictures = {"restored": result, "gt": PHOTO, "lq": result if of_input else noisy(1.0)}
    if tool.facts.per == "clip":
        pictures = {role: moving(picture) for role, picture in pictures.items()}
    return tool.summarize([tool.measure(pictures)] * 2).mean


@pytest.mark.parametrize("name", METRICS.names())
class TestEveryMetric:
    def test_says_what_it_is(self, name: str) -> None:
        facts = facts_of(name)
        assert facts.type == name and facts.short_name and facts.better in ("higher", "lower")
        assert facts.input_of is None or facts_of(facts.input_of).input_of is None
        if facts.input_of is not None:
            of_result = facts_of(facts.input_of)
            assert (facts.unit, facts.better, facts.digits) == (
                of_result.unit, of_result.better, of_result.digits,
            )  # fmt: skip

    def test_of_an_unchanged_input_is_what_it_says(self, name: str) -> None:
        expected = facts_of(name).unchanged
        if expected is not None:
            tool = Metric.of(MetricOptions(type=name))
            assert tool.measure({"restored": noisy(60), "gt": PHOTO, "lq": noisy(60)}) == expected


# The others need files, or more than pictures, which their own tests make.
OF_PICTURES = [
    name
    for name in METRICS.names()
    if not any(item.required for item in METRICS.options(name).values())
    and {"restored", "gt", "lq"}.issuperset(Metric.of(MetricOptions(type=name)).needs)
]


@pytest.mark.parametrize("name", OF_PICTURES)
def test_better_is_nearer_to_the_reference(name: str) -> None:
    sign = 1 if facts_of(name).better == "higher" else -1
    perfect, near, far = (sign * figure(name, noisy(deviation)) for deviation in (0, 4, 60))
    assert perfect > far
    if "gt" in Metric.of(MetricOptions(type=name)).needs:  # without one, a little noise may look natural
        assert perfect >= near >= far


@pytest.fixture
def own_metrics(monkeypatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(METRICS, "_entries", {name: METRICS[name] for name in METRICS.names()})


def test_a_new_metric_is_one_decorator(own_metrics) -> None:
    @metric("Bias", better="lower", unit="gray values", digits=1)
    def calculate_bias(restored, gt, factor: float = 1.0) -> float:
        return factor * abs(float(restored.mean() - gt.mean()))

    assert calculate_bias(np.ones(3), np.zeros(3)) == 1.0, "it stays a function"
    assert list(METRICS.options("calculate_bias")) == ["factor"]
    tool = Metric.of(MetricOptions(type="calculate_bias", options={"factor": 2}))
    assert tool.measure({"restored": np.full((4, 4, 3), 5), "gt": np.zeros((4, 4, 3)), "factor": 9}) == 10.0
    assert tool.facts == MetricFacts("calculate_bias", "Bias", better="lower", unit="gray values", digits=1)


def test_the_documented_metric_works_as_it_says(own_metrics, tmp_path) -> None:
    page = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(# basicsr/metrics/.*?)```", page, flags=re.DOTALL)
    (tmp_path / "bias.py").write_text(source)
    runpy.run_path(str(tmp_path / "bias.py"))
    tool = Metric.of(MetricOptions(type="calculate_bias", options={"factor": 2}))
    assert tool.measure({"restored": np.full((4, 4, 3), 7), "gt": np.full((4, 4, 3), 5)}) == 4.0
    assert (tool.facts.unit, tool.facts.better) == ("gray values", "lower")


def test_a_metric_that_says_nothing_of_itself_is_named(own_metrics) -> None:
    @METRICS.register
    def calculate_silent(restored) -> float:
        return 0.0

    with pytest.raises(UserError, match="calculate_silent .* register it with @metric"):
        facts_of("calculate_silent")


class Largest(SetMetric[float]):
    def __call__(self, restored) -> float:
        return float(restored.max())

    def summarize(self, values: Sequence[float]) -> Summary:
        return Summary(max(values), infinite=0, undefined=3)


def made(function: Callable, **facts) -> Metric:
    return Metric(function, MetricFacts("Made", "Made", better="higher", **facts))


CLIP = np.arange(3)[:, None, None, None] * np.ones((3, 2, 2, 3))


def test_a_metric_of_images_gets_clips_frame_by_frame() -> None:
    photo = np.ones((2, 2, 3))
    offered = {"restored": CLIP, "gt": 2 * CLIP, "lq": photo}
    tool = made(lambda restored, gt, lq: restored.mean() + gt.mean() + lq.mean())
    values = tool.measure(offered)
    assert values == [1.0, 4.0, 7.0] and isinstance(values, Frames)
    assert tool.measure({**offered, "restored": photo, "gt": photo}) == 3.0
    assert tool.summarize([values, 8.0]) == Summary(5.0, 0, 0), "each frame counts as an image does"


def test_a_metric_of_clips_gets_them_whole() -> None:
    whole = made(lambda restored: np.float32(len(restored)), per="clip")
    assert whole.measure({"restored": CLIP}) == 3.0
    for type_of_sequence in (tuple, list, np.array):
        each = made(lambda restored, made_of=type_of_sequence: made_of([1, math.inf]), per="clip")
        assert each.measure({"restored": CLIP}) == Frames([1.0, math.inf])
    assert each.summarize([Frames([1.0, math.inf])]) == Summary(1.0, 1, 0)


def test_a_metric_of_sets_keeps_its_values_and_its_summary() -> None:
    tool = made(Largest(), averaged=False)
    assert tool.measure({"restored": CLIP}) == Frames([0.0, 1.0, 2.0])
    assert tool.summarize([Frames([0.0, 2.0]), 1.0]) == Summary(2.0, 0, 3)


def test_only_numbers_are_written_beside_an_image() -> None:
    assert as_numbers(np.float32(0.5)) == 0.5 and as_numbers(Frames([1, 2.0])) == [1.0, 2.0]
    for value in (np.zeros(4), {"a": 1.0}, (1.0, 2.0), Frames([np.zeros(2)])):
        assert as_numbers(value) is None


def test_names_of_users_become_titles() -> None:
    psnr = facts_of("calculate_psnr")
    assert psnr.title("psnr") == "PSNR" and psnr.title("blurry_psnr_aligned") == "blurry PSNR aligned"
    assert psnr.title("psnr2") == "psnr2" and psnr.title("mine") == "mine"


def test_numbers_of_tables() -> None:
    assert facts_of("calculate_psnr").number(30.126) == "30.13" and facts_of("calculate_psnr").sign == ""
    assert facts_of("calculate_ssim").number(0.5) == "0.5000"
    rate = facts_of("calculate_mcr")
    assert rate.unit == RATE and rate.number(0.125) + rate.sign == "12.50 %"


def test_which_metric_stands_for_a_run_and_which_measures_the_input() -> None:
    types = {
        "before": "calculate_input_ssim",
        "ssim": "calculate_ssim",
        "psnr": "calculate_psnr",
        "luma": "calculate_psnr",
        "before_psnr": "calculate_input_psnr",
    }
    metrics = describe({name: MetricOptions(type=kind) for name, kind in types.items()})
    assert headline_of(metrics) == "psnr" and headline_of({"ssim": metrics["ssim"]}) is None
    assert values_of_input(metrics) == {"before": "ssim", "before_psnr": "psnr"}
    assert values_of_input({"before": metrics["before"]}) == {}
