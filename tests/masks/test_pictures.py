"""Label maps as pictures: the colors by their formula, the borders pixel by pixel."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from basicsr.masks.pictures import color_regions, overlay, region_colors


def test_colors_are_those_of_the_formula():
    """Golden steps around the circle of hues; every 8 ids another brightness, every 16 another saturation.

    OpenCV keeps 180 hues of 8 bits: a hue is rounded down by less than 2 degrees, 1/30 of a sextant, in which
    a channel changes by at most 255; then it rounds once more.
    """
    colors = region_colors(70)
    assert colors.shape == (71, 3) and colors.dtype == np.uint8
    assert colors[0].tolist() == [0, 0, 0]
    for region in range(1, 71):
        hue = region * (np.sqrt(5) - 1) / 2 % 1
        saturation = 140 if region // 16 % 2 else 220
        value = 185 if region // 8 % 2 else 255
        expected = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation / 255, value / 255))
        assert np.abs(colors[region] - expected).max() <= 255 / 30 + 1, region
        # Whatever the hue, these are the largest and the smallest channel.
        assert colors[region].max() == value
        assert abs(colors[region].min() - value * (1 - saturation / 255)) <= 1 + 1e-6, region


def test_neighboring_ids_have_colors_far_apart():
    colors = region_colors(40).astype(int)
    assert np.abs(np.diff(colors[1:], axis=0)).max(1).min() > 100


def test_each_region_has_its_color_and_uncovered_is_black():
    labels = np.array([[0, 3], [1, 2]], np.int32)
    assert np.array_equal(color_regions(labels), region_colors(3)[labels])


def test_regions_are_tinted_by_half_and_uncovered_pixels_stay():
    """Regions far from any border of another one."""
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    labels = np.zeros((8, 12), np.int32)
    labels[:, 6:] = 5
    picture = overlay(image, labels)
    assert np.array_equal(picture[:, :5], image[:, :5])
    half = (image[:, 6:].astype(float) + region_colors(5)[5]) / 2
    assert np.abs(picture[:, 6:] - half).max() <= 0.5


def test_a_border_is_each_pixel_whose_right_or_lower_neighbor_is_of_another_region():
    labels = np.random.default_rng(1).integers(0, 3, (9, 11), np.int32)
    picture = overlay(np.zeros((9, 11, 3), np.uint8), labels)
    for y, x in np.ndindex(labels.shape):
        right = x + 1 < 11 and labels[y, x + 1] != labels[y, x]
        below = y + 1 < 9 and labels[y + 1, x] != labels[y, x]
        assert (picture[y, x] == 255).all() == (right or below), (y, x)


@pytest.mark.parametrize(("side", "width"), [(999, 1), (1000, 2), (1999, 2), (2000, 3)])
def test_borders_are_a_pixel_wider_for_each_thousand(side: int, width: int):
    labels = np.zeros((4, side), np.int32)
    labels[:, side // 2 :] = 1
    for turned in (labels, labels.T):
        white = (overlay(np.zeros((*turned.shape, 3), np.uint8), turned) == 255).all(-1)
        along = white.any(turned.shape.index(4))
        assert np.count_nonzero(along) == width
        assert np.flatnonzero(along).mean() == pytest.approx(side // 2 - 1, abs=0.5)
