"""Clips filmed of one photo: their frames, their mean, and the limits of what is drawn."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from basicsr.synthesis.clip import Clip, ClipRules, draw_clip, film, filmed_pair
from basicsr.synthesis.frame_average import ResponseTable, average_frames

STILL = Clip(shift=(0, 0), bend=(0, 0), turn=0, zoom=0, frames=8, shutter=0, noise=0)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (80, 96, 3)).astype(np.uint8)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def test_frames_of_a_camera_at_rest_are_the_photo(photo):
    frames = list(film(photo, STILL, 2.2, generator()))
    assert len(frames) == 8
    for frame in frames:
        np.testing.assert_array_equal(frame, photo)


def test_a_straight_shift_of_a_pixel_a_frame_shifts_each_frame_by_a_pixel(photo):
    clip = msgspec.structs.replace(STILL, shift=(8.0, -16.0))
    for number, frame in enumerate(film(photo, clip, 2.2, generator())):
        right, down = number - clip.target, -2 * (number - clip.target)
        seen = np.roll(photo, (down, right), (0, 1))
        np.testing.assert_array_equal(frame[16:-16, 16:-16], seen[16:-16, 16:-16])


@pytest.mark.parametrize(("frames", "target"), [(7, 3), (8, 4)])
def test_the_target_is_the_frame_in_the_middle_or_the_later_one(frames, target):
    clip = msgspec.structs.replace(STILL, frames=frames)
    assert clip.target == target
    assert abs(clip.time(target)) <= 0.5 / frames


def test_clips_have_a_middle_frame_unless_even_numbers_are_asked_for():
    def drawn(rules: ClipRules) -> set[int]:
        return {draw_clip(rules, 80, 96, np.random.default_rng(seed)).frames for seed in range(200)}

    assert drawn(ClipRules()) == {7, 9, 11, 13}
    assert drawn(ClipRules(even=True)) == set(range(7, 14))
    assert drawn(ClipRules(frames=(8, 9))) == {9}
    assert drawn(ClipRules(frames=(8, 8))) == {8}


def test_the_mean_of_an_odd_number_of_frames_is_centered_on_its_target():
    """A lamp that moves at constant speed: its center of mass in the mean is where the target has it."""
    night = np.zeros((40, 96, 3), np.uint8)
    night[19:22, 47:50] = 255
    columns = np.arange(96)

    def center(image: np.ndarray) -> float:
        weight = image.astype(float).sum((0, 2))
        return float((columns * weight).sum() / weight.sum())

    for count, shift in ((7, 0.0), (8, -0.5)):  # half a frame of 4 pixels is 2
        clip = msgspec.structs.replace(STILL, shift=(4.0 * count, 0.0), frames=count)
        frames = list(film(night, clip, 1.0, generator()))
        mean = average_frames(frames, ResponseTable.from_gamma(1.0), "nearest")
        assert center(mean) - center(frames[clip.target]) == pytest.approx(4.0 * shift, abs=0.1)


@pytest.mark.parametrize("gamma", [1.0, 2.2])
@pytest.mark.parametrize("shutter", [1.0, 0.5])
def test_a_long_exposure_of_a_frame_is_the_mean_of_light_along_its_way(gamma: float, shutter: float):
    """A wave of light keeps of its height the mean cosine of the ways that it moved."""
    wave = 0.5 + 0.4 * np.sin(2 * math.pi * np.arange(96) / 16)
    photo = (255 * wave ** (1 / gamma)).round().astype(np.uint8)[None, :, None].repeat(80, 0).repeat(3, 2)
    clip = msgspec.structs.replace(STILL, shift=(32.0, 0.0), shutter=shutter)
    frame = list(film(photo, clip, gamma, generator()))[clip.target]
    # With an open shutter four pixels in five moments; the middle one is at the target's place.
    way = 4 * shutter
    moments = 1 + math.ceil(way)
    places = way * ((np.arange(moments) + 0.5) / moments - 0.5)
    left = np.cos(2 * math.pi * places / 16).mean()
    light = (frame[:, 16:-16] / 255) ** gamma
    # OpenCV's cubic interpolation raises a wave of 16 pixels by up to 2 %.
    assert light.std() == pytest.approx(left * wave[16:-16].std(), rel=0.02)
    assert light.mean() == pytest.approx(0.5, rel=0.01)
    assert left < 0.985


def test_the_trail_of_a_lamp_has_no_gaps():
    """At least one moment a pixel: along it light is even."""
    night = np.zeros((40, 96, 3), np.uint8)
    night[20, 48] = 255
    clip = msgspec.structs.replace(STILL, shift=(64.0, 0.0), shutter=1.0)
    frame = list(film(night, clip, 1.0, generator()))[clip.target]
    trail = frame[20, 45:52, 0].astype(float)  # eight pixels long, less its ends
    assert trail.min() > 0.75 * trail.max()
    assert trail.sum() < frame[20, ..., 0].sum() <= 1.1 * 255


def test_turning_and_coming_nearer_leave_the_middle_where_it_is():
    clip = msgspec.structs.replace(STILL, turn=0.2, zoom=0.1)
    middle, corner = np.array([47.5, 39.5, 1]), np.array([95.0, 79.0, 1])
    for time in (-0.5, 0.0, 0.5):
        pose = clip.pose(time, 80, 96)
        np.testing.assert_allclose(pose @ middle, middle)
        radius = np.linalg.norm((pose @ corner - middle)[:2])
        assert radius == pytest.approx(math.hypot(47.5, 39.5) * math.exp(0.1 * time))


def test_a_bent_path_begins_and_ends_as_the_straight_one():
    bent = msgspec.structs.replace(STILL, shift=(10.0, 0.0), bend=(0.0, 3.0))
    starts = [bent.pose(time, 80, 96)[:2, 2] for time in (-0.5, 0.0, 0.5)]
    np.testing.assert_allclose(starts, [(-5, 0), (0, -3), (5, 0)])


def test_what_is_drawn_keeps_to_the_rules():
    rules, random = ClipRules(extent=(2.0, 20.0)), generator()
    clips = [draw_clip(rules, 300, 400, random) for _ in range(300)]
    extents = np.array([math.hypot(*clip.shift) for clip in clips])
    assert extents.min() >= 2 and extents.max() <= 20
    assert np.median(extents) == pytest.approx(math.sqrt(2 * 20), rel=0.15), "evenly in the logarithm"
    assert {clip.frames for clip in clips} == {7, 9, 11, 13}
    for clip, extent in zip(clips, extents, strict=True):
        assert abs(clip.turn) * 250 <= rules.turn * extent
        assert abs(clip.zoom) * 250 <= rules.zoom * extent
        assert math.hypot(*clip.bend) <= rules.bend * extent


def test_what_is_drawn_reaches_the_ends_of_the_rules_and_all_directions():
    rules, random = ClipRules(), generator()
    clips = [draw_clip(rules, 300, 400, random) for _ in range(400)]
    extents = np.array([math.hypot(*clip.shift) for clip in clips])
    for name, (low, high) in {"shutter": (0.1, 1.0), "noise": (0.0, 2.0)}.items():
        values = [getattr(clip, name) for clip in clips]
        width = high - low
        assert low <= min(values) < low + 0.05 * width and high - 0.05 * width < max(values) <= high, name
    assert 1.5 <= extents.min() < 1.7 and 36 < extents.max() <= 40
    for name, most in {"turn": 0.6, "zoom": 0.3}.items():
        shares = np.array([getattr(clip, name) for clip in clips]) * 250 / extents
        assert -most <= shares.min() < -0.95 * most and 0.95 * most < shares.max() <= most, name
    bends = np.array([math.hypot(*clip.bend) for clip in clips]) / extents
    assert 0 <= bends.min() < 0.02 and 0.24 < bends.max() <= 0.25
    for name in ("shift", "bend"):
        angles = np.array([math.atan2(*getattr(clip, name)) for clip in clips])
        quarters = np.bincount(((angles + math.pi) / (math.pi / 2)).astype(int).clip(0, 3), minlength=4)
        assert quarters.min() > 60, f"{name}: 100 of 400 are expected, sd 9"


def test_the_blurred_side_is_the_mean_of_light_of_the_frames_and_the_target_one_of_them(photo):
    """By the formula, with a gamma of 2.2 unless said otherwise."""
    for changes, gamma in (({}, 2.2), ({"gamma": 1.5}, 1.5)):
        rules = ClipRules(extent=(5.0, 5.0), margin=3, **changes)
        blurred, target = filmed_pair(photo, rules, generator())
        random = generator()
        clip = draw_clip(rules, 80, 96, random)
        frames = np.stack(list(film(photo, clip, gamma, random)))[:, 3:-3, 3:-3]
        mean = 255 * ((frames / 255) ** gamma).mean(0) ** (1 / gamma)
        assert np.abs(blurred - mean).max() <= 0.5 + 1e-6
        np.testing.assert_array_equal(target, frames[clip.target])


def test_by_default_a_pair_is_64_pixels_smaller_than_the_photo(photo):
    blurred, target = filmed_pair(photo, ClipRules(), generator())
    assert blurred.shape == target.shape == (80 - 64, 96 - 64, 3)


def test_a_single_pixel_inside_of_the_margins_is_enough(photo):
    blurred, _ = filmed_pair(photo[:79], ClipRules(margin=39), generator())
    assert blurred.shape == (1, 18, 3)


def test_a_pair_is_blurred_against_its_target_and_the_same_for_the_same_seed(photo):
    rules = ClipRules(extent=(8.0, 8.0), margin=8)
    blurred, target = filmed_pair(photo, rules, generator())
    assert blurred.shape == target.shape == (64, 80, 3)
    assert blurred.astype(float).std() < 0.8 * target.astype(float).std()
    again = filmed_pair(photo, rules, generator())
    np.testing.assert_array_equal(blurred, again[0])
    np.testing.assert_array_equal(target, again[1])


def test_noise_is_averaged_in_the_blurred_photo_and_whole_in_the_target():
    gray = np.full((80, 80, 3), 128, np.uint8)
    rules = ClipRules(extent=(1e-6, 1e-6), frames=(9, 9), shutter=(0, 0), noise=(6.0, 6.0), margin=0)
    blurred, target = filmed_pair(gray, rules, generator())
    assert target.std() == pytest.approx(6, rel=0.05)
    assert blurred.std() == pytest.approx(2, rel=0.05), "of nine frames: a third"


def test_a_photo_smaller_than_its_margins_is_an_error(photo):
    with pytest.raises(ValueError, match="96x80 has nothing inside margins of 40 pixels"):
        filmed_pair(photo, ClipRules(margin=40), generator())
