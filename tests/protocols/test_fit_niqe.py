"""The command that fits NIQE parameters."""

from __future__ import annotations

import numpy as np
import pytest

from basicsr.metrics.niqe import fit_pristine, niqe_features, niqe_luma, read_pristine
from basicsr.protocols.fit_niqe import fit_niqe
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png


@pytest.fixture
def photos(tmp_path) -> list[np.ndarray]:
    """Noise, whose blocks are all about as sharp."""
    images = [
        np.random.default_rng(seed).integers(0, 256, (200, 200, 3), dtype=np.uint8) for seed in range(2)
    ]
    for number, image in enumerate(images):
        write_png(tmp_path / "photos" / "clip" / f"{number}.png", image)
    return images


def test_parameters_are_those_of_all_photos(photos, tmp_path):
    path = tmp_path / "niqe.npz"
    assert fit_niqe(tmp_path / "photos", path, workers=1) == 2
    expected = fit_pristine(niqe_features(niqe_luma(image)) for image in photos)
    for found, wanted in zip(read_pristine(path), expected, strict=True):
        np.testing.assert_allclose(found, wanted)
    with pytest.raises(UserError, match="niqe.npz: exists already"):
        fit_niqe(tmp_path / "photos", path, workers=1)


def test_photos_that_are_too_small_are_named(photos, tmp_path):
    write_png(tmp_path / "photos" / "small.png", photos[0][:90])
    with pytest.raises(UserError, match="small.png: NIQE needs at least 96x96 pixels, got 90x200"):
        fit_niqe(tmp_path / "photos", tmp_path / "niqe.npz", workers=1)
    assert not (tmp_path / "niqe.npz").exists()


def test_photos_without_sharp_blocks(tmp_path):
    write_png(tmp_path / "photos" / "flat.png", np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(UserError, match="photos: NIQE: 0 of 0 blocks .*; add more photos"):
        fit_niqe(tmp_path / "photos", tmp_path / "niqe.npz", workers=1)


def test_the_command(photos, tmp_path, run_script):
    for name, code in (("niqe.npz", 0), ("niqe.txt", 2)):
        result = run_script("fit_niqe.py", tmp_path / "photos", tmp_path / name, "--workers", 1)
        assert result.returncode == code, result.stderr
