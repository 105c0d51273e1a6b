"""Presets are those of the documentation, and what is drawn from them keeps to their limits."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from basicsr.synthesis import PRESETS, Preset, draw_pair

PAGE = Path(__file__).resolve().parents[2] / "docs" / "blur_synthesis.md"
SMALL = {"kernel_size": 9, "motion": "linear", "extent": (1.0, 4.0), "object_extent": (0.0, 3.0)}


def documented(row: str) -> dict[str, list[float]]:
    """Numbers of a row of the table of presets, by preset."""
    lines = [line.strip("| ").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    (head,) = (line for line in lines if "`sbdd`" in line[0])
    (cells,) = (line for line in lines if line[0].strip() == row)
    numbers = re.compile(r"\d+(?:/\d+|\.\d+)?")
    names = [name.strip(" `") for name in head if name.strip()]
    return {
        name: [float(Fraction(number)) for number in numbers.findall(cell)]
        for name, cell in zip(names, cells[1:], strict=True)
    }


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_those_of_the_table(name: str):
    preset = PRESETS[name]
    assert documented("exposure")[name] == pytest.approx(preset.exposure)
    objects = [
        *dict.fromkeys(preset.objects),
        *([preset.object_extent[1]] if preset.object_extent[1] else []),
    ]
    assert documented("moving objects")[name] == objects
    assert documented("response")[name] == list(dict.fromkeys(preset.response_value))
    light = [value for value in preset.illumination if preset.illumination != (1, 1)]
    assert documented("light")[name] == light + [preset.highlight_gain[1]] * (preset.highlight_gain[1] > 1)
    streaks = [preset.spike_probability * 10, 10, *preset.spikes] if preset.spike_probability else []
    assert documented("light streaks")[name] == streaks
    noise = [*preset.full_well, *preset.read_noise] if preset.full_well else []
    assert documented("noise")[name] == noise
    assert documented("JPEG of the blurred side")[name] == list(preset.jpeg or ())
    assert preset.max_object_share == (1 if name == "sbdd" else 0.5)
    assert preset.behind == (preset.object_motion == "added") == (name != "sbdd")
    assert preset.kernel_size == 64 + 1, "pairs are smaller by 64 pixels"
    assert preset.focal_length == 1000 and preset.motion == "shake"


def test_the_published_limits_of_objects():
    """Larger than 4000 pixels and surer than 0.9."""
    assert (Preset().min_object_area, Preset().min_score) == (4000, 0.9)


@pytest.mark.parametrize(
    ("name", "least_and_most"), [("sbdd", (2, 2)), ("gopro", (0, 2)), ("realistic", (0, 2))]
)
def test_the_most_objects_also_limit_the_least(name: str, least_and_most: tuple[int, int]):
    assert PRESETS[name].adapted(max_objects=2).objects == least_and_most
    assert PRESETS[name].adapted(max_objects=0).objects == (0, 0)
    assert PRESETS["sbdd"].adapted(max_objects=7).objects == (5, 7)


def test_what_is_not_asked_for_stays():
    preset = PRESETS["gopro"]
    assert preset.adapted() == preset
    assert preset.adapted(min_object_area=0) == msgspec.structs.replace(preset, min_object_area=0)
    exposure = (0.1, 0.2)
    assert preset.adapted(exposure=exposure) == msgspec.structs.replace(preset, exposure=exposure)
    assert preset.adapted(motion="linear") == msgspec.structs.replace(preset, motion="linear")


def test_what_is_drawn_fills_the_ranges_of_the_preset():
    rules = msgspec.structs.replace(PRESETS["realistic"], **SMALL)
    draws = [draw_pair(rules, [], np.random.default_rng(seed))[0] for seed in range(400)]
    drawn = {
        "response_value": [draw.response.value for draw in draws],
        "illumination": [draw.illumination for draw in draws],
        "highlight_gain": [draw.highlight_gain for draw in draws],
        "read_noise": [draw.read_noise for draw in draws],
    }
    for name, values in drawn.items():
        low, high = getattr(rules, name)
        width = high - low
        assert low <= min(values) < low + 0.05 * width and high - 0.05 * width < max(values) <= high, name
    wells = [draw.full_well for draw in draws]
    assert 1500 <= min(wells) < 1600 and 19000 < max(wells) <= 20000
    assert np.median(wells) == pytest.approx((1500 * 20000) ** 0.5, rel=0.2), "evenly in the logarithm"
    assert {draw.jpeg for draw in draws} == set(range(85, 101))
    spikes = [draw.spikes for draw in draws if draw.spikes]
    assert 20 < len(spikes) < 60, "one pair of ten: 40 of 400, sd 6"
    assert min(spikes) >= 1 and max(spikes) <= 20
    always = msgspec.structs.replace(rules, spike_probability=1.0, spikes=(3, 5))
    assert {draw_pair(always, [], np.random.default_rng(seed))[0].spikes for seed in range(40)} == {3, 4, 5}


def test_only_shaken_regions_have_an_exposure():
    shaken = draw_pair(PRESETS["gopro"], [4], np.random.default_rng(0))[0]
    assert [motion.exposure for motion in shaken.motions] == [shaken.motions[0].exposure] * 2
    assert 7 / 240 <= shaken.motions[0].exposure <= 13 / 240
    straight = draw_pair(msgspec.structs.replace(PRESETS["gopro"], **SMALL), [4], np.random.default_rng(0))[0]
    assert [motion.exposure for motion in straight.motions] == [None, None]


def test_an_object_moves_as_the_camera_and_a_straight_line_more():
    """The extent of its path is the camera's and at most that of the line."""
    rules = msgspec.structs.replace(
        PRESETS["gopro"], **SMALL | {"object_extent": (3.0, 3.0), "kernel_size": 15}
    )
    for seed in range(20):
        camera, moved = draw_pair(rules, [1], np.random.default_rng(seed))[0].motions
        assert abs(moved.extent - camera.extent) <= 3
    alike = msgspec.structs.replace(rules, object_extent=(0.0, 0.0))
    _, kernels = draw_pair(alike, [1], np.random.default_rng(0))
    np.testing.assert_allclose(kernels[0], kernels[1])
    own = msgspec.structs.replace(alike, object_motion="own")
    _, kernels = draw_pair(own, [1], np.random.default_rng(0))
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01


def test_extents_are_the_larger_side_of_a_path():
    rules = msgspec.structs.replace(PRESETS["sbdd"], **SMALL | {"extent": (4.0, 4.0)})
    extents = [draw_pair(rules, [], np.random.default_rng(seed))[0].motions[0].extent for seed in range(50)]
    # 1000 moments: the way from the first to the last is a thousandth shorter
    assert 4 * 0.5**0.5 * 0.998 <= min(extents) < 3 and 3.9 < max(extents) <= 4


def test_objects_that_the_camera_follows_do_not_move():
    preset = Preset(**SMALL, object_motion="none")
    for seed in range(5):
        draw, kernels = draw_pair(preset, [1, 2], np.random.default_rng(seed))
        assert draw.motions[0].extent > 0 and [motion.extent for motion in draw.motions[1:]] == [0, 0]
        still = np.zeros((9, 9))
        still[4, 4] = 1
        assert np.abs(kernels[0] - still).max() > 0.1
        np.testing.assert_allclose(kernels[1:], [still, still], atol=1e-12)
