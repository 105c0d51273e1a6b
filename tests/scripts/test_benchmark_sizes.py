"""How growth is measured: exponents of known laws, and points that grow as they must."""

from __future__ import annotations

import pytest

from basicsr.utils.image import decode_rgb


@pytest.fixture
def sizes(benchmark_module):
    return benchmark_module("sizes")


def test_exponents_are_those_of_power_laws(sizes):
    points = [sizes.Point(size, 3 * size**1.5, 7 * size**0.25) for size in (1, 10, 100)]
    assert sizes.exponent(sizes.curve(points, "seconds")) == pytest.approx(1.5)
    assert sizes.exponent(sizes.curve(points, "megabytes")) == pytest.approx(0.25)
    names = sizes.CHARTS["area"]
    assert decode_rgb(sizes.draw(names, dict.fromkeys(names, points)), "chart").std() > 0


def test_memory_of_a_whole_photo_is_at_least_that_of_its_features(sizes):
    """Two float32 maps of 8 channels at full resolution exist at once."""
    point = sizes.point("whole", 0.25)
    assert point.seconds > 0 and point.megabytes > 2 * 0.25 * 8 * 4
