"""Fields of a photo are those of its file, and turned copies come back as they went."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from basicsr.archs.base import RestorationNetwork
from basicsr.engine.tiling import Window
from basicsr.layers.map_unit import MaskAveragePool
from basicsr.layers.normalization import Normalization
from basicsr.models.base import gather_inputs
from basicsr.restoration.photo_fields import ALL_EIGHT, PhotoFields, Turn


def photo_of(height: int, width: int, dtype: type = np.uint8) -> PhotoFields:
    generator = np.random.default_rng(height * 1000 + width)
    return PhotoFields(generator.integers(0, np.iinfo(dtype).max + 1, (height, width, 3)).astype(dtype))


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
        takes_labels = True
        region_pool = MaskAveragePool()

        def region_features(self, image: torch.Tensor) -> torch.Tensor:
            return image

    photo = photo_of(23, 31)
    labels = np.random.default_rng(0).integers(0, 4, (23, 31), np.int32)
    halved = Normalization((0.0, 0.0, 0.0), (2.0, 2.0, 2.0))
    means = PhotoFields(photo.image, labels).means(Pool(), turn, torch.device("cpu"), halved)
    expected = np.stack([photo.image[labels == label].mean(0) / 255 / 2 for label in range(4)], -1)
    torch.testing.assert_close(means[0].double(), torch.from_numpy(expected), atol=1e-6, rtol=1e-6)


def test_a_batch_holds_the_fields_of_the_window():
    photo = PhotoFields(
        photo_of(9, 11).image, np.arange(99, dtype=np.int32).reshape(9, 11), np.full((9, 11), 51, np.uint8)
    )
    batch = photo.batch(Window(2, 3, 4, 5), torch.device("cpu"))
    assert {name: tuple(field.shape) for name, field in batch.items()} == {
        "lq": (1, 3, 4, 5), "mask": (1, 1, 4, 5), "labels": (1, 4, 5)
    }  # fmt: skip
    assert batch["labels"][0, 0, 0] == 2 * 11 + 3
    assert torch.allclose(batch["mask"], torch.tensor(0.2))
    assert batch["lq"][0, :, 0, 0].mul(255).round().tolist() == photo.image[2, 3].tolist()


@pytest.mark.parametrize("turn", ALL_EIGHT)
def test_a_window_of_a_turned_photo_is_that_of_the_turned_copy(turn: Turn):
    """What the network takes is cut from the file's pixels just as from a tensor of the whole photo."""

    class Both(RestorationNetwork):
        image_inputs = ("lq", "mask")
        takes_labels = True

    generator = np.random.default_rng(0)
    photo = PhotoFields(
        photo_of(9, 11).image,
        generator.integers(0, 5, (9, 11), np.int32),
        generator.integers(0, 256, (9, 11)).astype(np.uint8),
    )
    cpu, window = torch.device("cpu"), Window(1, 2, 6, 5)
    whole = gather_inputs(Both(), photo.batch(Window(0, 0, 9, 11), cpu))
    parts = gather_inputs(Both(), photo.batch(window, cpu, turn))
    for part, x in zip(parts, whole, strict=True):
        assert torch.equal(part, window.of(turn.there(x)))
