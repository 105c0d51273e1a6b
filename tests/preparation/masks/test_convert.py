"""Masks from one format to another, and back where nothing is lost."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from basicsr.masks import (
    encode_label_map,
    from_stack,
    gray_to_labels,
    published_gray,
    read_label_map,
    read_published_npz,
    relabel,
    to_stack,
    write_label_map,
)
from basicsr.preparation.masks.coco import encode_coco
from basicsr.preparation.masks.convert import (
    Conversion,
    convert_bytes,
    convert_masks,
    encode_published_npz,
    read_detectron2,
)
from basicsr.segmenters.precomputed import read_coco
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import decode_single, encode_png

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
LABELS = arrays.arrays(np.int32, SHAPES, elements=st.integers(0, 6)).map(relabel)
STACKS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))


def convert(data: bytes, source, target, rule=None) -> bytes:
    return convert_bytes(Conversion(source, target, rule), data, "x")


def detectron2(masks: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    count = len(masks)
    classes = np.arange(count)
    np.savez_compressed(buffer, pred_masks=masks, scores=np.linspace(1, 0, count), pred_classes=classes)
    return buffer.getvalue()


@given(LABELS.filter(lambda labels: labels.any()), st.sampled_from(["npz", "coco", "detectron2"]))
def test_label_maps_survive_stacks(labels, kind):
    data = encode_label_map(labels)
    assert convert(convert(data, "labels", kind), kind, "labels") == data


@given(LABELS.filter(lambda labels: labels.min() > 0))
def test_label_maps_that_cover_everything_survive_gray_images(labels):
    data = encode_label_map(labels)
    assert convert(convert(data, "labels", "gray"), "gray", "labels") == data


def test_255_regions_survive_a_gray_image_and_more_are_told_to_merge(caplog):
    labels = np.arange(1, 511, dtype=np.int32).reshape(10, 51)
    full = encode_label_map(np.minimum(labels, 255))
    back = decode_single(convert(convert(full, "labels", "gray"), "gray", "labels"), "x").astype(np.int32)
    assert back.max() == 255
    pairs = set(zip(np.minimum(labels, 255).ravel().tolist(), back.ravel().tolist(), strict=True))
    assert len(pairs) == 255
    assert not caplog.text
    convert(encode_label_map(labels), "labels", "gray")
    assert "x: 510 masks share 255 grey values" in caplog.text


@given(STACKS, st.sampled_from(["npz", "coco", "detectron2"]), st.sampled_from(["npz", "coco", "detectron2"]))
def test_stacks_keep_their_masks_in_order_without_a_rule(masks, first, second):
    write = {"npz": encode_published_npz, "coco": encode_coco, "detectron2": detectron2}
    read = {"npz": read_published_npz, "coco": read_coco, "detectron2": read_detectron2}
    data = convert(write[first](masks), first, second)
    assert np.array_equal(read[second](data, "x"), masks)


@given(STACKS, st.sampled_from(["exact", "smallest_on_top", "published"]))
def test_a_rule_joins_the_masks_of_every_stack(masks, rule):
    labels = from_stack(masks, rule)
    sources = {
        "npz": encode_published_npz(masks),
        "coco": encode_coco(masks),
        "detectron2": detectron2(masks),
    }
    for kind, data in sources.items():
        assert convert(data, kind, "labels", rule) == encode_label_map(labels)
        assert np.array_equal(read_published_npz(convert(data, kind, "npz", rule), "x"), to_stack(labels))
        assert convert(data, kind, "labels") == encode_label_map(from_stack(masks, "exact"))
        assert convert(data, kind, "gray") == encode_png(published_gray(masks))


@given(arrays.arrays(np.uint8, SHAPES))
def test_grouping_a_gray_image_gives_a_mask_for_each_value(gray):
    data = encode_png(gray)
    masks = read_published_npz(convert(data, "gray", "npz"), "x")
    assert np.array_equal(masks, [gray == value for value in np.unique(gray)])
    assert convert(data, "gray", "labels") == encode_label_map(gray_to_labels(gray))


def test_the_published_layout_of_a_stack():
    with np.load(io.BytesIO(convert(encode_label_map(np.eye(3, dtype=np.int32)), "labels", "npz"))) as file:
        assert list(file) == ["masks"]
        assert file["masks"].dtype == np.bool_
        assert file["masks"].shape == (1, 1, 3, 3)


def test_detectron2_gets_all_that_its_readers_ask_for():
    data = convert(encode_label_map(np.arange(6, dtype=np.int32).reshape(2, 3)), "labels", "detectron2")
    with np.load(io.BytesIO(data)) as file:
        assert sorted(file) == ["pred_classes", "pred_masks", "scores"]
        assert file["pred_masks"].dtype == np.bool_
        assert file["pred_masks"].shape == (5, 2, 3)
        assert file["scores"].tolist() == [1] * 5
        assert file["pred_classes"].tolist() == [0] * 5


def test_label_maps_with_a_palette_become_16_bits(palette_png):
    ids = np.array([[0, 1, 20], [255, 255, 7]])
    assert np.array_equal(decode_single(convert(palette_png(ids), "labels", "labels"), "a"), ids)
    with pytest.raises(UserError, match="expected one channel"):
        convert(palette_png(ids), "gray", "labels")


def test_label_maps_of_8_bits_get_16():
    labels = np.array([[0, 3], [3, 200]], np.uint8)
    stored = cv2.imdecode(
        np.frombuffer(convert(encode_png(labels), "labels", "labels"), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert stored.dtype == np.uint16
    assert np.array_equal(stored, labels)


@pytest.mark.parametrize("source", ["labels", "gray"])
def test_a_rule_for_what_does_not_overlap_is_a_mistake_in_the_options(source):
    with pytest.raises(OptionError, match=f"--rule: regions of '{source}' do not overlap") as told:
        Conversion(source, "npz", "exact")
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    ("source", "data", "message"),
    [
        ("npz", b"PK\3\4", "damaged .npz"),
        ("npz", b"\x89PNG", "not an .npz file"),
        ("npz", detectron2(np.ones((1, 2, 2), np.bool_)), "expected the key 'masks', found pred_masks"),
        ("detectron2", b"", "not an .npz file"),
        ("detectron2", b"PK\3\4", "damaged .npz"),
        ("detectron2", encode_published_npz(np.ones((1, 2, 2), np.bool_)), "key 'pred_masks', found masks"),
        ("detectron2", detectron2(np.ones((1, 2, 2))), "expected a boolean stack"),
        ("coco", b"\xff", "not a JSON file"),
        ("labels", b"PK", "not an image"),
        ("labels", encode_png(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)), "expected one channel"),
        ("gray", encode_label_map(np.eye(2, dtype=np.int32)), r"expected a grey image uint8 .*found uint16"),
    ],
)
def test_what_is_not_the_format_is_named(source, data, message):
    with pytest.raises(UserError, match=message) as told:
        convert(data, source, "labels")
    assert str(told.value).startswith("x: ")
    assert "\n" not in str(told.value)


def test_folders_keep_their_structure_and_broken_files_are_named_at_the_end(tmp_path: Path):
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    for key in ("a/1", "a/2", "b"):
        write_label_map(tmp_path / "maps" / f"{key}.png", labels)
    (tmp_path / "maps" / "a" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "maps" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"1 of 4 could not be done:\n.*broken\.png: not an image"):
        convert_masks(Conversion("labels", "npz"), tmp_path / "maps", tmp_path / "stacks")
    made = {path.relative_to(tmp_path / "stacks").as_posix() for path in (tmp_path / "stacks").rglob("*.npz")}
    assert made == {"a/1.npz", "a/2.npz", "b.npz"}
    assert convert_masks(Conversion("npz", "labels"), tmp_path / "stacks", tmp_path / "back") == 3
    assert np.array_equal(read_label_map(tmp_path / "back" / "a" / "2.png"), labels)


def test_files_that_are_there_are_kept_unless_overwrite(tmp_path: Path):
    write_label_map(tmp_path / "maps" / "a.png", np.eye(3, dtype=np.int32))
    out = tmp_path / "out"
    to_npz = Conversion("labels", "npz")
    convert_masks(to_npz, tmp_path / "maps", out)
    before = (out / "a.npz").read_bytes()
    (out / "a.npz").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"a\.npz: exists already"):
        convert_masks(to_npz, tmp_path / "maps", out)
    assert (out / "a.npz").read_bytes() == b"mine"
    convert_masks(to_npz, tmp_path / "maps", out, overwrite=True)
    assert (out / "a.npz").read_bytes() == before
    for inside in (tmp_path / "maps", tmp_path / "maps" / "npz"):
        with pytest.raises(UserError, match="lies in the input folder"):
            convert_masks(to_npz, tmp_path / "maps", inside)
    with pytest.raises(UserError, match="no such folder"):
        convert_masks(to_npz, tmp_path / "absent", out)


def test_the_command_converts_single_files(tmp_path: Path, run_script):
    write_label_map(tmp_path / "a.png", np.eye(3, dtype=np.int32))
    command = partial(run_script, "data_preparation/convert_masks.py")
    done = command(tmp_path / "a.png", tmp_path / "b.json", "--from", "labels", "--to", "coco")
    assert (done.returncode, done.stdout) == (0, "1 files converted\n"), done.stderr
    assert [item["area"] for item in json.loads((tmp_path / "b.json").read_text())] == [3]
    assert convert_masks(Conversion("coco", "labels"), tmp_path / "b.json", tmp_path / "c.png") == 1
    assert (tmp_path / "c.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    (tmp_path / "folder").mkdir()
    convert_masks(Conversion("coco", "gray"), tmp_path / "b.json", tmp_path / "folder")
    assert (tmp_path / "folder" / "b.png").is_file()
    wrong = command(
        tmp_path / "a.png", tmp_path / "d.npz", "--from", "labels", "--to", "npz", "--rule", "exact"
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: --rule: ")
