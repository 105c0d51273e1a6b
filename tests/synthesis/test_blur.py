"""Kernels and blur keep light, center and size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basicsr.synthesis import blur_image, linear_motion


@given(length=st.floats(0, 40), angle=st.floats(-7, 7))
def test_kernels_are_light_shares_centered_on_the_middle_pixel(length: float, angle: float):
    kernel = linear_motion(length, angle)
    size = len(kernel)
    assert kernel.shape == (size, size) and size % 2 == 1
    assert (kernel >= 0).all()
    assert kernel.sum() == pytest.approx(1)
    position = np.arange(size) - size // 2
    assert (kernel.sum(0) * position).sum() == pytest.approx(0, abs=1e-9)
    assert (kernel.sum(1) * position).sum() == pytest.approx(0, abs=1e-9)


def test_motion_has_the_length_and_the_direction_asked_for():
    """A uniform line of length L has the variance L^2 / 12 along it and less than 1/4 across."""
    kernel = linear_motion(30, math.radians(90))
    position = np.arange(len(kernel)) - len(kernel) // 2
    assert (kernel.sum(1) * position**2).sum() == pytest.approx(30**2 / 12, rel=0.02)
    assert (kernel.sum(0) * position**2).sum() < 0.25
    rising = linear_motion(20, math.radians(45))
    assert rising[0, -1] + rising[1, -2] + rising[2, -3] + rising[3, -4] > 0, (
        "counter-clockwise: up on the right"
    )
    assert linear_motion(0, 1.0).tolist() == [[1.0]]


def test_no_motion_gives_the_photo_back():
    image = np.random.default_rng(0).random((9, 11, 3))
    np.testing.assert_allclose(blur_image(image, linear_motion(0, 0)), image, atol=1e-12)


def test_light_is_kept_where_it_is_linear():
    image = np.zeros((21, 21, 3))
    image[10, 10] = 1
    kernel = linear_motion(8, 0.7)
    blurred = blur_image(image, kernel)
    np.testing.assert_allclose((blurred**2.2).sum((0, 1)), 1)
    start = 10 - len(kernel) // 2
    window = slice(start, start + len(kernel))
    (
        np.testing.assert_allclose(blurred[window, window, 0] ** 2.2, kernel, atol=1e-12),
        "a convolution, not a correlation",
    )


def test_gamma_one_blurs_the_values_as_they_are():
    image = np.random.default_rng(0).random((20, 20, 1)).repeat(3, 2)
    kernel = np.zeros((3, 3))
    kernel[1, 0] = 1
    shifted = blur_image(image, kernel, gamma=1)
    np.testing.assert_allclose(shifted[:, :-1], image[:, 1:])


def test_values_beyond_white_are_white():
    image = np.random.default_rng(0).uniform(-1, 3, (9, 11, 3))
    kernel = linear_motion(4, 0.3)
    np.testing.assert_array_equal(blur_image(image, kernel), blur_image(image.clip(0, 1), kernel))
