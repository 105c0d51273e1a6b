"""Windows cover the image, meet without seams, and change nothing where a network looks at single pixels."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from basicsr.config.schema import ValOptions
from basicsr.engine.inference import Windows, window_starts, windows_of
from basicsr.models.base import run_whole


class Pixelwise(nn.Module):
    """A network of pixels and labels that does not look around."""

    largest_batch = 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        assert x.shape[-2:] == labels.shape[-2:]
        Pixelwise.largest_batch = max(self.largest_batch, len(x))
        return 2 * x + labels.unsqueeze(1)


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


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.integers(2, 20),
    overlap=st.integers(0, 8),
    batch=st.integers(1, 2),
    at_once=st.sampled_from([None, 1, 3]),
)
def test_windows_change_nothing_for_a_network_of_single_pixels(size, window, overlap, batch, at_once):
    x = torch.rand(batch, 3, *size)
    labels = torch.randint(0, 9, (batch, *size))
    apply = Windows(window, window, min(overlap, window - 1), at_once)
    torch.testing.assert_close(apply(Pixelwise(), (x, labels)), 2 * x + labels.unsqueeze(1))


def test_at_most_so_many_windows_at_once():
    net = Pixelwise()
    Pixelwise.largest_batch = 0
    Windows(4, 4, 0, 3)(net, (torch.rand(1, 3, 16, 16), torch.zeros(1, 16, 16)))
    assert Pixelwise.largest_batch == 3


class Position(nn.Module):
    """The column inside the window: shows which window a pixel came from."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.arange(x.shape[-1], dtype=torch.float32).expand_as(x)


def test_grids_average_what_they_share_as_published():
    """Windows of 6 on 10 columns start at 0 and 4; the two shared columns are plain means."""
    result = Windows(1, 6)(Position(), (torch.zeros(1, 1, 1, 10),))
    assert result[0, 0, 0].tolist() == [0, 1, 2, 3, (4 + 0) / 2, (5 + 1) / 2, 2, 3, 4, 5]


def test_tiles_are_blended_by_a_ramp():
    result = Windows(1, 6, 2)(Position(), (torch.zeros(1, 1, 1, 10),))
    assert result[0, 0, 0].tolist() == pytest.approx([0, 1, 2, 3, 4 * 2 / 3, 5 / 3 + 1 * 2 / 3, 2, 3, 4, 5])


def test_options_choose_the_windows():
    assert windows_of(ValOptions()) is run_whole
    assert windows_of(ValOptions(tile=64, tile_overlap=8)) == Windows(64, 64, 8, 1)
    grids = ValOptions(grids=True, crop_size_h=32, crop_size_w=48, max_minibatch=4)
    assert windows_of(grids) == Windows(32, 48, 0, 4)
