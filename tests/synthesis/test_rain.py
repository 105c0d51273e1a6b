"""Streaks: their shape, their direction, their number, and that rain can be repeated."""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from basicsr.synthesis import RAIN, RainRules, rain_layer
from basicsr.synthesis.rain import streak


def rules(**options) -> RainRules:
    fixed = {"density": (1.0, 1.0), "length": (20.0, 20.0), "width": (3.0, 3.0), "strength": (0.5, 0.5)}
    return RainRules(**{"angle": (0.0, 0.0), **fixed, **options})


def direction(layer: np.ndarray) -> float:
    """Degrees from the vertical of the lines of a picture, by its structure tensor; positive falls right."""
    # smoothed alike in all directions, so that differences of neighbors are derivatives
    down, right = np.gradient(cv2.GaussianBlur(layer.astype(np.float64), (0, 0), 1))
    tensor = np.array(
        [[(right * right).sum(), (right * down).sum()], [(right * down).sum(), (down * down).sum()]]
    )
    along = np.linalg.eigh(tensor)[1][:, 0]  # the values change least along the lines
    return math.degrees(math.atan(along[0] / along[1]))


@pytest.mark.parametrize("angle", [0.0, 35.0, -60.0])
def test_a_streak_is_half_as_bright_at_half_its_length_and_at_half_its_width(angle: float) -> None:
    kernel = streak(length=20, width=8, angle=angle)
    middle = len(kernel) // 2
    assert kernel[middle, middle] == kernel.max() == 1
    turn = math.radians(angle)
    for reach, step in ((10, (math.cos(turn), math.sin(turn))), (4, (-math.sin(turn), math.cos(turn)))):
        rows, columns = (middle + reach * part for part in step)
        top, left = int(rows), int(columns)
        corner = kernel[top : top + 2, left : left + 2]
        weights = np.outer([1 - rows + top, rows - top], [1 - columns + left, columns - left])
        # a bilinear look-up is off by 1/8 of the second derivative, at most 2.8 / 4^2, each way
        assert (corner * weights).sum() == pytest.approx(0.5, abs=0.045)
    assert kernel[0].max() < 0.012 and kernel[:, 0].max() < 0.012, "cut off where it is dark"


@pytest.mark.parametrize("angle", [-40.0, -10.0, 0.0, 25.0])
def test_the_lines_of_a_layer_have_its_angle(angle: float) -> None:
    layer = rain_layer(300, 400, rules(angle=(angle, angle)), np.random.default_rng(0))
    assert direction(layer) == pytest.approx(angle, abs=2)


def test_angles_are_drawn_from_their_range() -> None:
    drawn = [
        direction(rain_layer(120, 120, rules(angle=(-30.0, 30.0)), np.random.default_rng(seed)))
        for seed in range(30)
    ]
    assert -32 < min(drawn) < -15 and 15 < max(drawn) < 32


def test_density_is_streaks_for_a_thousand_pixels() -> None:
    """The light of a layer is that of its streaks; a Gaussian of full width f has the sum 1.064 f."""
    layer = rain_layer(300, 400, rules(density=(2.0, 2.0)), np.random.default_rng(0))
    one = 0.5 * math.pi / (4 * math.log(2)) * 20 * 3
    count = 2.0 * 300 * 400 / 1000
    # Poisson: a standard deviation is the square root; the kernel ends at three standard deviations
    assert layer.sum() / one == pytest.approx(count, abs=4 * math.sqrt(count) + 0.003 * count)
    assert layer[:40].sum() / 40 == pytest.approx(layer[40:].sum() / 260, rel=0.4), "up to the edges"


def test_a_layer_is_never_negative_and_empty_without_streaks() -> None:
    for name in RAIN:
        layer = rain_layer(64, 80, RAIN[name], np.random.default_rng(1))
        assert layer.shape == (64, 80) and layer.dtype == np.float32
        assert layer.min() >= 0 and layer.max() > 0
    for dry in (rules(density=(0.0, 0.0)), rules(layers=(0, 0)), rules(strength=(0.0, 0.0))):
        assert not rain_layer(64, 80, dry, np.random.default_rng(1)).any()


def test_the_sum_of_the_layers_grows_with_their_number() -> None:
    one, four = (
        rain_layer(200, 200, rules(layers=(count, count)), np.random.default_rng(2)).sum() for count in (1, 4)
    )
    assert four == pytest.approx(4 * one, rel=0.5)


def test_the_generator_decides_all() -> None:
    first, again, other = (
        rain_layer(64, 80, RAIN["heavy"], np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("option", "value"),
    [("density", (-1.0, 1.0)), ("length", (0.0, 5.0)), ("width", (2.0, 1.0)), ("layers", (3, 2))],
)
def test_ranges_that_cannot_be_are_named(option: str, value: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=f"{option}: expected two numbers that rise"):
        RainRules(**{option: value})


def test_the_page_has_the_numbers_of_the_presets() -> None:
    page = (Path(__file__).parents[2] / "docs/deraining.md").read_text(encoding="utf-8")
    for option in RainRules.__struct_fields__:
        (cells,) = re.findall(rf"^\| `{option}` \| (.*?) \| (.*?) \|", page, flags=re.MULTILINE)
        for name, cell in zip(("light", "heavy"), cells, strict=True):
            low, high = getattr(RAIN[name], option)
            assert cell == (f"{low:g} to {high:g}" if low < high else f"{low:g}")
