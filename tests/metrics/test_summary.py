"""The figure of a set from the values of its images."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basicsr.metrics.summary import Summary

finite = st.floats(-1e6, 1e6)


@given(values=st.lists(finite, min_size=1), infinite=st.integers(0, 3), undefined=st.integers(0, 3))
def test_the_mean_is_that_of_the_finite_values_and_the_others_are_counted(
    values: list[float], infinite: int, undefined: int
) -> None:
    summary = Summary.of([math.inf] * infinite + values + [math.nan] * undefined)
    assert summary == Summary(math.fsum(values) / len(values), infinite, undefined)


def test_minus_infinity_is_infinite() -> None:
    assert Summary.of([-math.inf, 2.0, math.inf, 4.0]) == Summary(3.0, infinite=2, undefined=0)


def test_where_no_value_is_finite() -> None:
    """All images perfect is a fact worth an infinite mean; anything else has no mean."""
    assert Summary.of([math.inf, math.inf]) == Summary(math.inf, infinite=2, undefined=0)
    for values in ([math.inf, -math.inf], [math.inf, math.nan], [math.nan], []):
        assert math.isnan(Summary.of(values).mean)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([30.0, 31.0], "30.50"),
        ([30.0, math.inf, 31.0], "30.50 (1 infinite)"),
        ([30.0, math.inf, math.nan, math.inf], "30.00 (2 infinite, 1 undefined)"),
        ([math.inf], "inf (1 infinite)"),
        ([math.nan, math.nan], "nan (2 undefined)"),
    ],
)
def test_written_out_it_says_what_it_leaves_out(values: list[float], text: str) -> None:
    assert f"{Summary.of(values):.2f}" == text


def test_what_is_left_out_by_name() -> None:
    assert Summary.of([1.0]).left_out == {}
    assert Summary.of([math.inf, math.nan, math.inf]).left_out == {"infinite": 2, "undefined": 1}
