"""The segmenters that need no network: masks made elsewhere, and regions by color."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from basicsr.masks import from_stack, published_gray, relabel, to_stack, write_label_map
from basicsr.preparation.masks.coco import encode_coco
from basicsr.segmenters import Graph, Precomputed, graph_regions
from basicsr.segmenters.precomputed import read_coco
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.registry import SEGMENTERS

PHOTO = np.zeros((5, 7, 3), np.uint8)


def overlapping() -> np.ndarray:
    masks = np.zeros((3, 5, 7), np.bool_)
    masks[0, :3] = masks[1, 1:4, 2:6] = masks[2, 4, 6] = True
    return masks


def save(folder: Path, key: str, kind: str) -> None:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "npz":
        np.savez_compressed(path.with_suffix(".npz"), masks=overlapping()[:, None])
    elif kind == "coco":
        path.with_suffix(".json").write_bytes(encode_coco(overlapping()))
    elif kind == "labels":
        write_label_map(path.with_suffix(".png"), from_stack(overlapping()))
    else:
        write_png(path.with_suffix(".png"), published_gray(overlapping()))


@pytest.mark.parametrize("kind", ["npz", "coco"])
@pytest.mark.parametrize("rule", ["exact", "smallest_on_top", "published"])
def test_stacks_come_back_as_they_were_and_are_joined_by_the_rule(tmp_path: Path, kind: str, rule):
    save(tmp_path, "clip/0001", kind)
    save(tmp_path, "other", "labels")
    segmenter = SEGMENTERS.build("Precomputed", {"folder": str(tmp_path)}).at("clip/0001")
    assert np.array_equal(segmenter.masks(PHOTO), overlapping())
    assert np.array_equal(segmenter.labels(PHOTO, rule), from_stack(overlapping(), rule))
    again = pickle.loads(pickle.dumps(segmenter))
    assert np.array_equal(again.masks(PHOTO), overlapping())


@pytest.mark.parametrize("rule", ["exact", "smallest_on_top", "published"])
def test_label_maps_and_gray_images_are_their_regions(tmp_path: Path, rule):
    labels = from_stack(overlapping())
    write_label_map(tmp_path / "a.png", labels * 9)  # ids with gaps
    save(tmp_path, "b", "gray")
    a, b = (Precomputed(str(tmp_path)).at(key) for key in "ab")
    assert np.array_equal(a.masks(PHOTO), to_stack(labels))
    assert np.array_equal(a.labels(PHOTO, rule), from_stack(to_stack(labels), rule))
    gray = from_stack(overlapping(), "published")
    assert np.array_equal(b.masks(PHOTO), to_stack(gray))
    assert np.array_equal(b.labels(PHOTO, rule), gray)


def test_a_label_map_with_a_palette(tmp_path: Path, palette_png):
    ids = np.repeat([0, 3, 3, 9, 255], 7).reshape(5, 7)
    (tmp_path / "a.png").write_bytes(palette_png(ids))
    segmenter = Precomputed(tmp_path).at("a")
    assert np.array_equal(segmenter.labels(PHOTO), relabel(ids))
    assert np.array_equal(segmenter.masks(PHOTO), [ids == 3, ids == 9, ids == 255])


def test_what_does_not_fit_is_named(tmp_path: Path):
    for kind in ("npz", "coco", "labels"):
        save(tmp_path, kind, kind)
    segmenter = Precomputed(str(tmp_path))
    wide = np.zeros((5, 8, 3), np.uint8)
    for key in ("npz", "coco", "labels"):
        for ask in (segmenter.at(key).masks, segmenter.at(key).labels):
            with pytest.raises(UserError, match=rf"{key}\.\w+: masks of 7 x 5 for a photo of 8 x 5 pixels"):
                ask(wide)
    with pytest.raises(UserError, match="no file for 'absent'"):
        segmenter.at("absent").masks(PHOTO)
    with pytest.raises(UserError, match=r"choose it with Precomputed\.at"):
        segmenter.masks(PHOTO)
    save(tmp_path, "npz", "coco")
    with pytest.raises(UserError, match="share the key 'npz'"):
        Precomputed(str(tmp_path))
    assert segmenter.facts()["folder"] == str(tmp_path.resolve())


# Written by pycocotools 2.0.11
KNOWN = {"size": [3, 4], "counts": "2110102"}


@pytest.mark.parametrize(
    "content",
    [
        [KNOWN],
        [{"segmentation": KNOWN, "area": 3}],
        {"image": {"height": 3, "width": 4}, "annotations": [{"segmentation": KNOWN}]},
        [{"size": [3, 4], "counts": [2, 1, 1, 1, 2, 1, 4]}],
    ],
)
def test_coco_files_of_every_tool_are_read(content):
    (mask,) = read_coco(json.dumps(content).encode(), "x")
    assert mask.astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]]


def test_a_coco_file_without_masks_is_an_empty_stack_of_the_photo(tmp_path: Path):
    (tmp_path / "a.json").write_text("[]")
    assert Precomputed(str(tmp_path)).at("a").masks(PHOTO).shape == (0, 5, 7)
    assert not Precomputed(str(tmp_path)).at("a").labels(PHOTO).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ("3", "expected a list of masks"),
        ('{"a": 1}', "expected a list of masks"),
        ("[]", "the size of the image is unknown"),
        ("[4]", "mask 1: expected run lengths, found 4"),
        ('[{"segmentation": [[1, 2, 3, 4]]}]', "mask 1: expected run lengths, found a polygon"),
        ('[{"size": [2, 2], "counts": [4]}, {"size": [1, 2], "counts": [2]}]', "different sizes"),
        ('[{"size": [2, 2], "counts": [5]}]', "mask 1: runs of 5 pixels"),
        ('{"images": [{}, {}], "annotations": []}', "masks of 2 images"),
    ],
)
def test_mistakes_in_coco_files_are_one_line(content: str, message: str):
    with pytest.raises(UserError, match=message) as told:
        read_coco(content.encode(), "x.json")
    assert str(told.value).startswith("x.json: ")
    assert "\n" not in str(told.value)


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 90))))
def test_coco_written_and_read_is_the_same_stack(masks: np.ndarray):
    data = encode_coco(masks)
    assert np.array_equal(read_coco(data, "x"), masks)
    for mask, item in zip(masks, json.loads(data), strict=True):
        assert item["area"] == mask.sum()
        left, top, width, height = item["bbox"]
        assert mask[top : top + height, left : left + width].sum() == mask.sum()
        if mask.any():
            assert mask[top].any() and mask[top + height - 1].any()
            assert mask[:, left].any() and mask[:, left + width - 1].any()


def test_coco_strings_are_those_of_pycocotools():
    mask = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]], np.bool_)
    (item,) = json.loads(encode_coco(mask[None]))
    assert item == {"segmentation": KNOWN, "area": 3, "bbox": [0, 1, 3, 2]}


def test_graph_as_a_segmenter_is_graph_regions_with_its_options():
    photo = read_rgb(Path(skimage.data.__file__).parent / "chelsea.png")[::3, ::3]
    segmenter = SEGMENTERS.build("Graph", {"scale": 100, "min_size": 30})
    labels = graph_regions(photo, 100.0, min_size=30)
    assert np.array_equal(segmenter.masks(photo), to_stack(labels))
    for rule in ("exact", "smallest_on_top", "published"):
        assert np.array_equal(segmenter.labels(photo, rule), from_stack(to_stack(labels), rule))
    assert np.array_equal(Graph().labels(photo), graph_regions(photo))
    facts = segmenter.facts()
    assert facts["method"] == "classical segmentation, not SAM"
    assert (facts["scale"], facts["min_size"]) == (100.0, 30)
