"""Crops: where the windows lie, that all fields are cut at the same places, and what a second run does."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basicsr.masks.label_map import read_label_map, write_label_map
from basicsr.preparation.layouts.crop_patches import (
    CROP_FOLDERS,
    CropCount,
    CropWindows,
    crop_folder,
    crop_split,
)
from basicsr.storage import DiskStorage
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import read_rgb, write_png

SMALL = CropWindows(size=16, step=12)


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@given(st.data())
def test_windows_cover_the_image_from_border_to_border(data):
    size = data.draw(st.integers(1, 40))
    step = data.draw(st.integers(1, size))
    height, width = (data.draw(st.integers(size, 150)) for _ in range(2))
    corners = CropWindows(size, step).corners(height, width)
    assert corners == sorted(set(corners)), "row by row, none twice"
    for places, length in (
        (sorted({top for top, _ in corners}), height),
        (sorted({x for _, x in corners}), width),
    ):
        assert places[0] == 0 and places[-1] == length - size
        gaps = [after - before for before, after in pairwise(places)]
        assert all(gap == step for gap in gaps[:-1]) and all(0 < gap <= step for gap in gaps[-1:])
    assert len(corners) == len({top for top, _ in corners}) * len({left for _, left in corners})


def test_a_gopro_image_has_the_eight_published_windows():
    expected = [(top, left) for top in (0, 208) for left in (0, 256, 512, 768)]
    assert CropWindows().corners(720, 1280) == expected
    assert 2103 * len(expected) == 16824, "the number of published training crops"


@pytest.mark.parametrize(("size", "step", "option"), [(0, 1, "--size"), (8, 0, "--step"), (8, 9, "--step")])
def test_windows_with_gaps_are_refused(size, step, option):
    with pytest.raises(OptionError, match=option):
        CropWindows(size, step)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_fields_are_cut_at_the_same_places(paired_set, workers):
    count = crop_split(paired_set, paired_set, SMALL, workers)
    corners = SMALL.corners(40, 48)
    assert len(corners) == 3 * 4
    assert count == CropCount(images=6, written=6 * 12 * 4, kept=0)
    for number in range(6):
        whole_labels = read_label_map(paired_set / "grouped_masks" / f"photo_{number}.png")
        whole_mask = cv2.imread(str(paired_set / "input_mask" / f"photo_{number}.png"), cv2.IMREAD_UNCHANGED)
        for place, (top, left) in enumerate(corners, 1):
            name = f"photo_{number}_s{place:03d}.png"
            sharp, blurred = (
                read_rgb(paired_set / folder / name) for folder in ("sharp_crops", "blur_crops")
            )
            assert sharp.shape == (16, 16, 3)
            assert tuple(sharp[0, 0]) == (4 * top, 4 * left, 10 * number), (
                "row, column and number of the photo"
            )
            np.testing.assert_array_equal(blurred, sharp + 3)
            window = np.s_[top : top + 16, left : left + 16]
            stored = cv2.imread(str(paired_set / "grouped_masks_crops" / name), cv2.IMREAD_UNCHANGED)
            assert stored.dtype == np.uint16
            np.testing.assert_array_equal(stored, whole_labels[window])
            mask = cv2.imread(str(paired_set / "blur_predeblur_mask_crops" / name), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mask, whole_mask[window])


def test_relabel_numbers_each_crop_anew_and_keeps_its_regions(paired_set):
    crop_split(paired_set, paired_set, CropWindows(16, 12, relabel=True), 1)
    right = read_label_map(paired_set / "grouped_masks_crops" / "photo_0_s008.png")
    assert set(np.unique(right)) == {1}, "region 3 alone"
    whole = read_label_map(paired_set / "grouped_masks" / "photo_0.png")
    for place, (top, left) in enumerate(SMALL.corners(40, 48), 1):
        crop = read_label_map(paired_set / "grouped_masks_crops" / f"photo_0_s{place:03d}.png")
        before = whole[top : top + 16, left : left + 16]
        pairs = set(zip(before.ravel().tolist(), crop.ravel().tolist(), strict=True))
        assert len(pairs) == np.unique(before).size == np.unique(crop).size, "one to one"
        assert (crop == 0).tolist() == (before == 0).tolist()


def test_a_second_run_makes_only_what_is_missing(paired_set, tmp_path):
    output = tmp_path / "crops"
    crop_split(paired_set, output, SMALL, 1)
    whole = contents(output)
    lost = output / "blur_crops" / "photo_3_s005.png"
    lost.unlink()
    mine = output / "sharp_crops" / "photo_1_s001.png"
    mine.write_bytes(b"mine")
    assert crop_split(paired_set, output, SMALL, 1) == CropCount(images=6, written=1, kept=287)
    assert contents(output) == whole | {"sharp_crops/photo_1_s001.png": b"mine"}


def test_masks_that_come_later_are_added(paired_set):
    (paired_set / "grouped_masks").rename(paired_set / "later")
    assert crop_split(paired_set, paired_set, SMALL, 1).written == 3 * 72
    assert not (paired_set / "grouped_masks_crops").exists()
    (paired_set / "later").rename(paired_set / "grouped_masks")
    relabeled = CropWindows(16, 12, relabel=True)
    assert crop_split(paired_set, paired_set, relabeled, 1) == CropCount(6, written=72, kept=216)
    with pytest.raises(UserError, match='grouped_masks_crops: holds crops made with .*"relabel": true'):
        crop_split(paired_set, paired_set, SMALL, 1)


def test_crops_of_other_windows_or_from_elsewhere_are_not_mixed_with(paired_set, tmp_path):
    crop_split(paired_set, paired_set, SMALL, 1)
    before = contents(paired_set)
    with pytest.raises(UserError, match='sharp_crops: holds crops made with .*"step": 12'):
        crop_split(paired_set, paired_set, CropWindows(16, 8), 1)
    assert contents(paired_set) == before
    write_png(tmp_path / "foreign" / "a_s001.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(UserError, match="foreign: holds files from elsewhere"):
        crop_folder(paired_set / "target", tmp_path / "foreign", SMALL, 1)


def test_a_broken_file_is_told_at_the_end_and_the_others_are_done(paired_set):
    data = (paired_set / "input" / "photo_2.png").read_bytes()
    (paired_set / "input" / "photo_2.png").write_bytes(data[: len(data) // 2])
    write_label_map(paired_set / "grouped_masks" / "photo_4.png", np.ones((40, 40), np.int32))
    with pytest.raises(UserError) as told:
        crop_split(paired_set, paired_set, SMALL, 1)
    head, cut, size = str(told.value).splitlines()
    assert head.startswith("2 of 6")
    assert "input/photo_2.png: not an image, or cut short" in cut
    assert "grouped_masks/photo_4.png: has 40x40 pixels" in size and "48x40" in size
    for folder in CROP_FOLDERS.values():
        stems = {path.name.split("_s")[0] for path in (paired_set / folder).glob("*.png")}
        assert stems == {"photo_0", "photo_1", "photo_3", "photo_5"}


def test_pairs_are_checked_before_anything_is_written(paired_set):
    (paired_set / "grouped_masks" / "photo_5.png").unlink()
    with pytest.raises(UserError, match="grouped_masks lacks 1 of .*: photo_5"):
        crop_split(paired_set, paired_set, SMALL, 1)
    assert not any((paired_set / folder).exists() for folder in CROP_FOLDERS.values())
    (paired_set / "input").rename(paired_set / "inputs")
    with pytest.raises(UserError, match="input: no such folder"):
        crop_split(paired_set, paired_set, SMALL, 1)


def test_an_image_smaller_than_the_window_is_told(paired_set):
    with pytest.raises(UserError, match="photo_0.png: has 48x40 pixels, the window 48"):
        crop_split(paired_set, paired_set, CropWindows(48, 24), 1)


def test_a_folder_keeps_its_structure_and_the_kind_of_its_images(tmp_path):
    labels = np.arange(20 * 16, dtype=np.int32).reshape(20, 16) + 300
    write_label_map(tmp_path / "in" / "clip" / "0001.png", labels)
    color = np.random.default_rng(0).integers(0, 65536, (16, 20, 3), np.uint16)
    write_png(tmp_path / "in" / "photo.v2.png", color)
    masks = np.zeros((2, 1, 16, 16), bool)
    masks[0, 0, :4], masks[1, 0, 8:] = True, True
    np.savez_compressed(tmp_path / "in" / "stack.npz", masks=masks)
    assert crop_folder(tmp_path / "in", tmp_path / "out", SMALL, 1).written == 5
    keys = DiskStorage(tmp_path / "out", (".png",)).keys()
    assert keys == ["clip/0001_s001", "clip/0001_s002", "photo.v2_s001", "photo.v2_s002", "stack_s001"]
    stored = cv2.imread(str(tmp_path / "out" / "clip" / "0001_s002.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, labels[4:])
    np.testing.assert_array_equal(read_rgb(tmp_path / "out" / "photo.v2_s002.png"), color[:, 4:])
    expected = np.repeat([1, 0, 2], [4, 4, 8])[:, None] * np.ones((1, 16), int)
    np.testing.assert_array_equal(read_label_map(tmp_path / "out" / "stack_s001.png"), expected)


def test_an_output_in_the_input_is_refused(paired_set):
    with pytest.raises(UserError, match="lies in the input folder"):
        crop_folder(paired_set / "target", paired_set / "target" / "crops", SMALL, 1)


def test_the_command_crops_a_split_and_tells_a_broken_file(paired_set, run_script):
    (paired_set / "target" / "photo_0.png").write_bytes(b"")
    words = (paired_set, "--size", 16, "--step", 12, "--workers", 1)
    result = run_script("data_preparation/crop_patches.py", *words)
    assert result.returncode == 1
    assert "error: 1 of 6" in result.stderr and "photo_0.png" in result.stderr
    assert len(list((paired_set / "sharp_crops").glob("*.png"))) == 5 * 12
