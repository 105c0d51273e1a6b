"""All images of a sample change alike; what they are stays what it is."""

from __future__ import annotations

import numpy as np
import pytest

from basicsr.data.augmentations import ColorJitter, GaussNoise, RandomAffine
from basicsr.utils.registry import TRANSFORMS

ALWAYS = [RandomAffine(share=1), ColorJitter(share=1), GaussNoise(share=1)]


def sample() -> dict[str, np.ndarray]:
    """A clip, the photo that equals each frame, the same with 16 bits, and a label map."""
    rng = np.random.default_rng(0)
    image = rng.integers(60, 190, (3, 24, 30), np.uint8)
    image = np.repeat(np.repeat(image[:, ::6, ::6], 6, 1), 6, 2)
    labels = rng.integers(0, 500, (24, 30)).astype(np.int32)
    return {
        "frames": np.stack([image] * 3),
        "lq": image,
        "deep": image.astype(np.uint16) * 257,
        "labels": labels,
    }


@pytest.mark.parametrize("transform", ALWAYS, ids=lambda transform: type(transform).__name__)
def test_frames_photo_and_depths_change_alike(transform):
    before = sample()
    after = transform(before, np.random.default_rng(1))
    assert {name: (x.shape, x.dtype) for name, x in after.items()} == {
        name: (x.shape, x.dtype) for name, x in before.items()
    }
    assert not np.array_equal(after["lq"], before["lq"])
    assert all(np.array_equal(frame, after["lq"]) for frame in after["frames"])
    assert np.abs(after["deep"] / 257 - after["lq"]).max() <= 0.51
    assert set(np.unique(after["labels"])) <= set(np.unique(before["labels"]))


@pytest.mark.parametrize("name", ["RandomAffine", "ColorJitter", "GaussNoise"])
def test_none_is_changed_with_a_share_of_0(name: str):
    before = sample()
    after = TRANSFORMS.build(name, {"share": 0})(before, np.random.default_rng(1))
    assert all(np.array_equal(after[key], before[key]) for key in before)


def test_colors_leave_labels_alone():
    before = sample()
    for transform in ALWAYS[1:]:
        after = transform(before, np.random.default_rng(1))
        assert np.array_equal(after["labels"], before["labels"])


def test_a_shift_is_in_shares_of_the_sides():
    only = RandomAffine(share=1, translate=0.5, rotate=0, shear=0)
    before = {"lq": np.zeros((3, 40, 80), np.uint8)}
    before["lq"][:, 20, 40] = 255
    generator = np.random.default_rng(3)
    right, down = np.random.default_rng(3).uniform(-1, 1, 5)[:2] * 0.5 * (80, 40)
    after = only(before, generator)["lq"][0].astype(float)
    rows, columns = np.nonzero(after)
    center = (
        np.average(columns, weights=after[rows, columns]),
        np.average(rows, weights=after[rows, columns]),
    )
    assert center == pytest.approx((40 + right, 20 + down), abs=0.1)


def test_gray_images_have_no_saturation_to_change():
    only = ColorJitter(share=1, brightness=0, contrast=0, saturation=1)
    gray = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16), 3, 0)
    assert np.abs(only({"lq": gray}, np.random.default_rng(0))["lq"].astype(int) - gray).max() <= 1


def test_noise_has_its_deviation():
    flat = {"lq": np.full((3, 100, 100), 128, np.uint8)}
    after = GaussNoise(share=1, sigma=(5, 5))(flat, np.random.default_rng(0))["lq"]
    assert after.std() == pytest.approx(5, rel=0.03) and after.mean() == pytest.approx(128, abs=0.15)
