"""Windows cover the image, and their weights are ramps that sum to one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.engine.tiling import Tiling, Window, blend_weights, window_starts


@given(length=st.integers(1, 200), window=st.integers(1, 60), overlap=st.integers(0, 59))
def test_starts_cover_everything_with_the_overlap_asked_for(length: int, window: int, overlap: int):
    overlap = min(overlap, window - 1)
    starts = window_starts(length, window, overlap)
    assert starts[0] == 0
    assert starts[-1] + window >= length
    for first, second in pairwise(starts):
        assert first < second
        assert first + window - second >= overlap
    if window < length:
        assert starts[-1] + window == length
        fewer = len(starts) - 1
        assert fewer * window - (fewer - 1) * overlap < length, "one window less would not do"


@pytest.mark.parametrize(("window", "overlap"), [(5, 0), (6, 2), (9, 4)])
def test_weights_of_a_pixel_are_ramps_that_sum_to_one(window: int, overlap: int):
    starts = window_starts(23, window, overlap)
    weights = blend_weights(23, window, starts, overlap).double()
    total = torch.zeros(23, dtype=torch.float64)
    for start, part in zip(starts, weights, strict=True):
        total[start : start + window] += part
    # rounded once when divided and once when added, at most four windows to a pixel
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=8 * 2**-24)
    if starts[1] == window - overlap:
        falling = weights[0, window - overlap :]
        expected = 1 - torch.arange(1, overlap + 1, dtype=torch.float64) / (overlap + 1)
        torch.testing.assert_close(falling, expected, rtol=0, atol=8 * 2**-24)


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    window=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    overlap=st.integers(0, 7),
    leading=st.lists(st.integers(1, 3), max_size=3),
    at_once=st.integers(1, 5),
)
def test_parts_that_change_nothing_give_the_image_back(size, window, overlap, leading, at_once):
    """With any leading axes, and however many windows are looked at together."""
    x = torch.rand(*leading, *size)
    asked = []

    def run(windows: Sequence[Window]) -> list[torch.Tensor]:
        asked.append(len(windows))
        return [window.of(x) for window in windows]

    tiling = Tiling(size, window, overlap)
    torch.testing.assert_close(torch.cat(list(tiling.blend(run, at_once)), -2), x)
    assert sum(asked) == len(tiling.windows) and max(asked) <= at_once


def test_rows_come_as_soon_as_they_are_finished():
    """Before a row of windows is begun, all rows above it have come."""
    given_out = 0

    def run(windows: Sequence[Window]) -> list[torch.Tensor]:
        assert all(window.top == given_out for window in windows)
        return [torch.ones(window.height, window.width) for window in windows]

    for band in Tiling((50, 40), (16, 16), 4).blend(run):
        given_out += len(band)
    assert given_out == 50


def test_windows_are_blended_over_their_overlap():
    """Two windows of different gray: the seam is a ramp without a step."""

    def by_place(windows: Sequence[Window]) -> list[torch.Tensor]:
        return [torch.full((16, 32), 0.0 if window.left == 0 else 1.0) for window in windows]

    (rows,) = Tiling((16, 48), (32, 32), 16).blend(by_place)
    expected = torch.cat([torch.zeros(16), torch.arange(1, 17) / 17, torch.ones(16)])
    torch.testing.assert_close(rows, expected.expand(16, 48))


@pytest.mark.parametrize("side", [40, 50])
def test_an_image_no_larger_than_a_window_is_one(side: int):
    assert Tiling((40, 30), (side, side), 8).windows == [Window(0, 0, 40, 30)]
