"""Tiles put together are the photo, and turned copies come back as they went."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.map_unit import MaskAveragePool
from basicsr.layers.normalization import Normalization
from basicsr.restoration.tiles import ALL_EIGHT, Photo, Turn, Window, in_tiles


def photo_of(height: int, width: int, dtype: type = np.uint8) -> Photo:
    generator = np.random.default_rng(height * 1000 + width)
    return Photo(generator.integers(0, np.iinfo(dtype).max + 1, (height, width, 3)).astype(dtype))


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    tile=st.one_of(st.none(), st.integers(8, 40)),
    overlap=st.integers(0, 7),
    dtype=st.sampled_from([np.uint8, np.uint16]),
)
def test_tiles_that_change_nothing_give_the_photo_back(size, tile, overlap, dtype):
    photo = photo_of(*size, dtype)

    def identity(window: Window) -> torch.Tensor:
        return photo.inputs(Turn(), window, torch.device("cpu"))[0]

    result = in_tiles(identity, photo, tile, overlap)
    assert result.dtype == dtype
    # float32 holds 24 bits, so a blend of 16-bit values can be off by one
    assert np.abs(result.astype(int) - photo.image).max() <= (0 if dtype is np.uint8 else 1)


def test_tiles_are_blended_over_their_overlap():
    """Two tiles of different grey: the seam is a ramp without a step."""
    photo = photo_of(16, 48)

    def by_place(window: Window) -> torch.Tensor:
        return torch.full((1, 3, window.height, window.width), 0.2 if window.left == 0 else 0.8)

    row = in_tiles(by_place, photo, 32, 16)[8, :, 0].astype(int)
    assert row[:16].tolist() == [51] * 16 and row[32:].tolist() == [204] * 16
    assert np.diff(row).max() <= 10


@pytest.mark.parametrize("turn", ALL_EIGHT)
def test_a_turned_copy_comes_back_as_it_went(turn: Turn):
    x = torch.rand(2, 3, 5, 7)
    assert torch.equal(turn.back(turn.there(x)), x)
    assert np.array_equal(turn.view(x.numpy()), turn.there(x).numpy())


def test_the_eight_ways_differ():
    x = torch.arange(6).reshape(1, 2, 3)
    assert len({str(turn.there(x).tolist()) for turn in ALL_EIGHT}) == 8


@pytest.mark.parametrize("turn", ALL_EIGHT)
def test_means_of_regions_are_those_of_the_photo_however_it_lies(turn: Turn):
    """Of a network that pools the image itself; the rows of the table are the labels."""

    class Pool(RestorationNetwork):
        region_pool = MaskAveragePool()

        def region_features(self, image: torch.Tensor) -> torch.Tensor:
            return image

    photo = photo_of(23, 31)
    labels = np.random.default_rng(0).integers(0, 4, (23, 31), np.int32)
    halved = Normalization((0.0, 0.0, 0.0), (2.0, 2.0, 2.0))
    means = Photo(photo.image, labels).means(Pool(), turn, torch.device("cpu"), halved)
    expected = np.stack([photo.image[labels == label].mean(0) / 255 / 2 for label in range(4)], -1)
    torch.testing.assert_close(means[0].double(), torch.from_numpy(expected), atol=1e-6, rtol=1e-6)


def test_a_photo_of_one_tile_has_no_other_sides_than_its_own():
    """A tile larger than the photo is the photo."""
    seen = []

    def look(window: Window) -> torch.Tensor:
        seen.append(window)
        return torch.zeros(1, 3, window.height, window.width)

    for tile in (None, 50, 40):
        in_tiles(look, photo_of(40, 30), tile, 8)
    assert seen == [Window(0, 0, 40, 30)] * 3


def test_inputs_are_those_of_the_window():
    photo = Photo(
        photo_of(9, 11).image, np.arange(99, dtype=np.int32).reshape(9, 11), np.full((9, 11), 51, np.uint8)
    )
    image, labels = photo.inputs(Turn(), Window(2, 3, 4, 5), torch.device("cpu"))
    assert image.shape == (1, 4, 4, 5) and labels.shape == (1, 4, 5)
    assert labels[0, 0, 0] == 2 * 11 + 3
    assert torch.allclose(image[0, 3], torch.tensor(0.2))
    assert image[0, :3, 0, 0].mul(255).round().tolist() == photo.image[2, 3].tolist()
