"""Restored regions in a photo that stays as it is elsewhere, with a soft border between."""

from __future__ import annotations

import numpy as np
import pytest

from basicsr.restoration.blend import blend, share_of_regions
from basicsr.utils.errors import UserError


def random(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def halves(height: int = 40, width: int = 60) -> np.ndarray:
    """Region 1 on the left, region 2 on the right."""
    labels = np.ones((height, width), np.int32)
    labels[:, width // 2 :] = 2
    return labels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ends_are_exact_and_the_middle_is_the_mean(dtype):
    photo, frames = random(600, 5, 3, dtype=dtype), random(2, 600, 5, 3, dtype=dtype, seed=1)
    whole = np.ones((600, 5), np.float32)
    assert np.array_equal(blend(photo, frames, 0 * whole), np.stack([photo, photo]))
    assert np.array_equal(blend(photo, frames, whole), frames)
    mean = (photo.astype(float) + frames) / 2
    mixed = blend(photo, frames, whole / 2)
    assert mixed.dtype == dtype and np.abs(mixed - mean).max() <= 0.5


def test_share_belongs_to_the_pixel():
    photo, frames = random(600, 5, 3), random(1, 600, 5, 3, seed=1)
    share = np.zeros((600, 5), np.float32)
    share[300:] = 1
    mixed = blend(photo, frames, share)[0]
    assert np.array_equal(mixed[:300], photo[:300]) and np.array_equal(mixed[300:], frames[0, 300:])


def test_share_is_0_outside_and_rises_inside():
    share = share_of_regions(halves(), [(5, 5)], border=4)
    assert (share[:, 30:] == 0).all() and (share[:, :26] == 1).all()
    assert share[20, 26:30] == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_several_regions_have_no_border_between_them():
    assert (share_of_regions(halves(), [(5, 5), (59, 39)]) == 1).all()


@pytest.mark.parametrize("place", [(60, 0), (0, 40), (-1, 0)])
def test_place_outside_is_named(place):
    with pytest.raises(UserError, match=f"only: {place[0]},{place[1]} is outside of the photo of 60 x 40"):
        share_of_regions(halves(), [place])
