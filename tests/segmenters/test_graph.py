from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from basicsr.segmenters import graph_regions
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb


def quarters(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of four flat colors and the quarter of each pixel."""
    index = 2 * (np.arange(height) >= height // 2)[:, None] + (np.arange(width) >= width // 2)
    return np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [230, 230, 30]], np.uint8)[index], index


def assert_covers_with_connected_regions(labels: np.ndarray, shape: tuple[int, ...]) -> None:
    assert labels.dtype == np.int32
    assert labels.shape == shape
    assert np.unique(labels).tolist() == list(range(1, labels.max() + 1))
    for region in range(1, labels.max() + 1):
        parts, _ = cv2.connectedComponents((labels == region).astype(np.uint8), connectivity=8)
        assert parts == 2  # one and the background


@pytest.mark.parametrize(("height", "width"), [(60, 90), (900, 1201)])
def test_flat_quarters_are_a_region_each_at_any_size(height: int, width: int):
    image, index = quarters(height, width)
    labels = graph_regions(image)
    assert_covers_with_connected_regions(labels, (height, width))
    away = np.ones((height, width), np.bool_)  # the Gaussian makes strips along an edge
    away[height // 2 - 8 : height // 2 + 8] = away[:, width // 2 - 8 : width // 2 + 8] = False
    pairs = set(zip(index[away].tolist(), labels[away].tolist(), strict=True))
    assert [quarter for quarter, _ in sorted(pairs)] == [0, 1, 2, 3]
    assert len({label for _, label in pairs}) == 4


def test_a_larger_scale_gives_fewer_regions():
    image = cv2.blur(np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8), (9, 9))
    assert 1 <= graph_regions(image, scale=1000).max() < graph_regions(image, scale=10).max()


def test_no_region_is_smaller_than_asked():
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    areas = np.bincount(graph_regions(noise, scale=10, min_size=50).ravel())[1:]
    assert len(areas) > 1
    assert areas.min() >= 50


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_the_smallest_images_are_covered(shape):
    assert (graph_regions(np.zeros((*shape, 3), np.uint8)) == 1).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_named(image):
    with pytest.raises(UserError, match=r"^graph_regions: expected an RGB image uint8 \(H, W, 3\), found "):
        graph_regions(image)


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["sharp/kodak24_500", "pairs/gopro_raw240/target", "pairs/reds_320x180/target"]
)
def test_real_photos_give_tens_of_regions_and_always_the_same(shared: Path, name: str):
    image = read_rgb(min((shared / "data" / name).iterdir()))
    before = image.copy()
    labels = graph_regions(image)
    assert_covers_with_connected_regions(labels, image.shape[:2])
    assert 20 <= labels.max() <= 150
    assert np.array_equal(graph_regions(image), labels)
    assert np.array_equal(image, before)
