"""Numbers of pixels per length: exact fractions inside, rounded once where a type wants whole numbers."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from basicsr.utils.photo_metadata.exif import of_resolution
from basicsr.utils.photo_metadata.exif import resolution as read_exif
from basicsr.utils.photo_metadata.resolution import CENTIMETER, INCH, METER, Resolution

WHOLE = st.integers(1, 65535)


@given(WHOLE, WHOLE, st.sampled_from([INCH, CENTIMETER, METER]))
def test_whole_numbers_of_a_unit_stay(across, down, unit):
    resolution = Resolution.of(across, down, unit)
    assert resolution.whole(unit, 65535) == (across, down)
    assert resolution.rounding(unit) == 0


@given(st.integers(20, 65535), st.integers(20, 65535))
def test_inches_survive_the_way_over_meters(across, down):
    """Half a pixel per meter is 0.0127 pixels per inch, less than the half that rounding forgives."""
    in_meters = Resolution.of(*Resolution.of(across, down, INCH).whole(METER, 2**31 - 1), METER)
    assert in_meters.whole(INCH, 65535) == (across, down)


@given(WHOLE, WHOLE, st.sampled_from([INCH, CENTIMETER, None]))
def test_exif_says_them_exactly(across, down, unit):
    resolution = Resolution.of(across, down, unit)
    if resolution is not None:
        assert read_exif(of_resolution(resolution)) == resolution


@given(st.integers(1, 2**32), st.integers(1, 2**32))
def test_ratios_are_whole_numbers_near_them(across, down):
    ratio = Resolution(Fraction(across), Fraction(down), is_ratio=True)
    first, second = ratio.whole_ratio(65535)
    assert 1 <= first <= 65535 and 1 <= second <= 65535
    if max(across, down) <= 65535:
        assert Fraction(first, second) == Fraction(across, down)
    assert (first >= second) if across > down else (first <= second)


def test_what_says_nothing():
    assert Resolution.of(0, 300, INCH) is Resolution.of(300, -1, INCH) is Resolution.of(7, 7, None) is None
    assert Resolution.of(1, 1, METER).whole(CENTIMETER, 65535) is None  # 0.01 a centimeter
    assert Resolution.of(10**12, 1, METER).to_tiff() is None
    assert Resolution.of_tiff(Fraction(300), Fraction(300), 7) is None
