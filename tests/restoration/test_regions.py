"""Masks of a photo are found once, whatever it is called, and anew when what decides them changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from basicsr.masks import published_gray, write_label_map
from basicsr.restoration.regions import RegionFinder, default_cache
from basicsr.segmenters import Precomputed
from basicsr.utils.errors import UserError


class Counting:
    """A segmenter of two halves that counts how often it is asked."""

    def __init__(self, split: int = 4) -> None:
        self.split = split
        self.asked = 0
        self.seen: list[np.ndarray] = []

    def masks(self, image: np.ndarray) -> np.ndarray:
        self.asked += 1
        self.seen.append(image)
        left = np.zeros((1, *image.shape[:2]), np.bool_)
        left[..., : self.split] = True
        return np.concatenate([left, ~left])

    def labels(self, image: np.ndarray, overlap: str) -> np.ndarray:
        masks = self.masks(image)
        return (masks[0] + 2 * masks[1]).astype(np.int32)

    def facts(self) -> dict[str, Any]:
        return {"method": "halves", "split": self.split}


PHOTO = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


def test_the_second_time_masks_are_remembered(tmp_path):
    segmenter = Counting()
    finder = RegionFinder(segmenter, cache=tmp_path)
    first = finder.labels(PHOTO, "a")
    again = RegionFinder(segmenter, cache=tmp_path).labels(PHOTO.copy(), "another name")
    assert segmenter.asked == 1
    assert np.array_equal(first, again) and first[0, 0] == 1 and first[0, 8] == 2


def test_another_photo_option_or_rule_is_found_anew(tmp_path):
    segmenter = Counting()
    RegionFinder(segmenter, cache=tmp_path).labels(PHOTO, "a")
    RegionFinder(segmenter, cache=tmp_path).labels(PHOTO + 1, "a")
    RegionFinder(segmenter, "smallest_on_top", tmp_path).labels(PHOTO, "a")
    RegionFinder(segmenter, cache=tmp_path).gray(PHOTO, "a")
    assert segmenter.asked == 4
    other = Counting(split=2)
    assert RegionFinder(other, cache=tmp_path).labels(PHOTO, "a")[0, 3] == 2
    assert other.asked == 1


def test_a_damaged_memory_is_made_again(tmp_path):
    segmenter = Counting()
    finder = RegionFinder(segmenter, cache=tmp_path)
    finder.labels(PHOTO, "a")
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:20])
    assert finder.labels(PHOTO, "a")[0, 0] == 1
    assert finder.labels(PHOTO, "a")[0, 0] == 1
    assert segmenter.asked == 2


def test_what_is_found_is_what_is_remembered(tmp_path):
    """With a cache, at the second time, and without one, where nothing is encoded: the same arrays."""
    for kind in ("labels", "gray"):
        found = [
            getattr(RegionFinder(Counting(), cache=cache), kind)(PHOTO, "a")
            for cache in (tmp_path, tmp_path, None)
        ]
        assert all(np.array_equal(one, found[0]) and one.dtype == found[0].dtype for one in found)


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path):
    (tmp_path / "file").write_text("in the way")
    finder = RegionFinder(Counting(), cache=tmp_path / "file")
    assert finder.labels(PHOTO, "a")[0, 0] == 1


def test_the_gray_image_is_made_of_what_sam_saw_as_published():
    """As BGR: SAM-Deblur gave SAM its photos as OpenCV reads them."""
    segmenter = Counting()
    gray = RegionFinder(segmenter).gray(PHOTO, "a")
    assert np.array_equal(segmenter.seen[0], PHOTO[..., ::-1])
    assert np.array_equal(gray, published_gray(Counting().masks(PHOTO)))


def test_masks_made_elsewhere_are_read_by_key_and_not_remembered(tmp_path):
    labels = np.arange(54, dtype=np.int32).reshape(6, 9)
    write_label_map(tmp_path / "made" / "clip" / "0001.png", labels)
    finder = RegionFinder(Precomputed(str(tmp_path / "made")), cache=tmp_path / "cache")
    assert np.array_equal(finder.labels(PHOTO, "clip/0001"), labels)
    assert not (tmp_path / "cache").exists()


def test_the_cache_follows_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().is_relative_to(tmp_path)


def test_a_missing_mask_names_its_file(tmp_path):
    write_label_map(tmp_path / "other.png", np.ones((6, 9), np.int32))
    with pytest.raises(UserError, match="missing"):
        RegionFinder(Precomputed(str(tmp_path))).labels(PHOTO, "missing")
