"""The networks that come with the package: small, described by their files, and better than doing nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import skimage.data

from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import read_weights
from basicsr.metrics import calculate_psnr
from basicsr.restoration import Restorer
from basicsr.restoration.weights import QUICK, STRONG, find_weights
from basicsr.synthesis import blur_image, linear_motion
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb
from basicsr.utils.shipped import WEIGHTS

TYPES = {"MAXIM-1S": "MAXIM", "NAFNet": "NAFNet", "SegNAFNet": "SegNAFNet"}
NAMES = tuple(TYPES)
PHOTOS = ("chelsea", "astronaut", "coffee")
REDS = "reds_320x180/train001"
LEAST_GAIN = {"gopro_raw240/": 1.5, REDS: 1.2}


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_is_found_by_its_name_and_says_what_it_is(name: str):
    path = find_weights(name)
    assert path.parent == WEIGHTS and path.stat().st_size < 12.5e6
    assert read_weights(path).network["type"] == TYPES[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_pads_as_it_was_trained(name: str):
    rebuilt = rebuild_network(find_weights(name))
    assert rebuilt.net.size_rule.padding == ("reflect" if name == "MAXIM-1S" else "edge")
    assert name != "SegNAFNet" or rebuilt.net.pool.mask_value == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_sharpens_photos_that_it_has_never_seen(name: str):
    restorer = Restorer.from_checkpoint(find_weights(name))
    gains = []
    for blurred, sharp in moved_photos((6.0, 0.2), (10.0, 1.7), (15.0, 0.9)):
        restored = restorer.run(blurred)
        gains.append(calculate_psnr(restored.image, sharp) - calculate_psnr(blurred, sharp))
        assert restored.findings.bad < 0.01 * blurred[..., 0].size
    assert np.mean(gains) > 2.0
    assert min(gains) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_does_little_to_what_is_hardly_blurred(name: str):
    """Chelsea is soft by nature: a network that has only seen blurred photos makes it sharper than it is."""
    restorer = Restorer.from_checkpoint(find_weights(name))
    gains = [
        calculate_psnr(restorer.run(blurred).image, sharp) - calculate_psnr(blurred, sharp)
        for blurred, sharp in moved_photos((2.5, 0.2), (3.5, 1.7), (4.5, 0.9))
    ]
    assert np.mean(gains) > 1.0
    assert min(gains) > -1
    for photo in PHOTOS:
        sharp = getattr(skimage.data, photo)()
        assert calculate_psnr(restorer.run(sharp).image, sharp) > 35, "a sharp photo stays as it is"


def moved_photos(*motions: tuple[float, float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(H, W, 3) uint8, blurred and sharp, for each photo and motion of (pixels, angle)."""
    for photo in PHOTOS:
        sharp = getattr(skimage.data, photo)()
        for length, angle in motions:
            kernel = linear_motion(length, angle)
            yield np.round(blur_image(sharp / 255.0, kernel) * 255).astype(np.uint8), sharp


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pairs"), [*product(("NAFNet", "SegNAFNet"), LEAST_GAIN), ("MAXIM-1S", REDS)]
)
def test_a_shipped_network_gains_on_real_pairs_of_clips_that_it_has_never_seen(shared, name: str, pairs: str):
    """Mean PSNR over the input's, in dB; docs/weights.md has the figures. MAXIM has seen the GoPro clips."""
    restorer = Restorer.from_checkpoint(find_weights(name))
    folder, clips = shared / "data/pairs" / pairs.split("/")[0], pairs.split("/")[1]
    gains = []
    for path in sorted((folder / "input").glob(f"{clips}*.png")):
        blurred, sharp = read_rgb(path), read_rgb(folder / "target" / path.name)
        restored = restorer.run(blurred).image
        gains.append(calculate_psnr(restored, sharp) - calculate_psnr(blurred, sharp))
    assert len(gains) >= 7
    assert np.mean(gains) > LEAST_GAIN[pairs]
    assert min(gains) > -3, "none collapses"


@pytest.mark.parametrize(("quick", "name"), [(False, STRONG), (True, QUICK)])
def test_without_a_name_the_default_is_taken(quick: bool, name: str):
    expected = WEIGHTS / f"{name}.safetensors"
    assert find_weights(None, quick) == find_weights("auto", quick) == expected
    assert find_weights("NAFNet", quick) == WEIGHTS / "NAFNet.safetensors"


def test_a_file_is_taken_as_it_is_and_anything_else_is_one_line(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"")
    assert find_weights(str(tmp_path / "mine.pth")) == tmp_path / "mine.pth"
    with pytest.raises(UserError, match="NAFNetz: no such file, .* Known: MAXIM-1S, NAFNet, SegNAFNet"):
        find_weights("NAFNetz")
