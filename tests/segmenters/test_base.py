"""What callers of segmenters need: the segmenter for a photo, and the photo as it is to be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from basicsr.masks import write_label_map
from basicsr.segmenters import Graph, Precomputed
from basicsr.segmenters.base import as_seen, for_photo


def test_a_segmenter_is_asked_for_the_photo_if_its_masks_belong_to_one(tmp_path: Path):
    labels = np.array([[1, 2], [2, 2]], np.int32)
    write_label_map(tmp_path / "clip" / "a.png", labels)
    photo = np.zeros((2, 2, 3), np.uint8)
    chosen = for_photo(Precomputed(str(tmp_path)), "clip/a")
    assert np.array_equal(chosen.labels(photo, "exact"), labels)
    graph = Graph()
    assert for_photo(graph, "clip/a") is graph


def test_only_the_published_rule_sees_blue_as_red():
    photo = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for rule in ("exact", "smallest_on_top"):
        assert as_seen(photo, rule) is photo
    seen = as_seen(photo, "published")
    assert seen.flags.c_contiguous
    assert np.array_equal(seen[..., 0], photo[..., 2])
    assert np.array_equal(as_seen(seen, "published"), photo)
