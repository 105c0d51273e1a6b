"""The report on a data set: silent on a good one, and one line for each thing that is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from basicsr.masks.label_map import write_label_map
from basicsr.preparation.layouts.check_dataset import check_dataset
from basicsr.preparation.layouts.crop_patches import CropWindows, crop_split
from basicsr.utils.errors import UserError
from basicsr.utils.image import encode_png, read_rgb, write_png


@pytest.fixture
def data_set(paired_set, tmp_path) -> Path:
    """A training split of six pairs and a test split of two others."""
    folder = tmp_path / "GoPro"
    paired_set.rename(tmp_path / "train")
    folder.mkdir()
    (tmp_path / "train").rename(folder / "train")
    for number in range(2):
        target = np.random.default_rng(number).integers(0, 200, (40, 48, 3), np.uint8)
        write_png(folder / "test" / "target" / f"t{number}.png", target)
        write_png(folder / "test" / "input" / f"t{number}.png", target + 3)
    return folder


def problems(folder: Path) -> dict[str, list[str]]:
    return dict(check_dataset(folder, 1).problems)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_good_set_with_its_crops(data_set, workers):
    crop_split(data_set / "train", data_set / "train", CropWindows(16, 12), 1)
    report = check_dataset(data_set, workers)
    assert report.problems == {}
    assert report.text().endswith("nothing wrong found")
    lines = set(report.lines)
    assert "train/grouped_masks: 6 of 48x40 pixels, regions: least 3, median 3, most 3" in lines
    assert "train/blur_crops: 72 of 16x16 pixels" in lines
    assert "test/target: 2 of 48x40 pixels" in lines
    assert "train: 6 images, the official data set has 2103" in lines
    assert any(line.startswith("train/grouped_masks_crops: 72 of 16x16") for line in lines)


def test_a_split_alone_is_a_data_set(data_set):
    report = check_dataset(data_set / "test", 1)
    assert report.problems == {} and "test/input: 2 of 48x40 pixels" in report.lines


def test_linked_splits_are_looked_at_and_hidden_ones_are_not(data_set, tmp_path):
    (data_set / "test").rename(tmp_path / "elsewhere")
    (data_set / "test").symlink_to(tmp_path / "elsewhere")
    shutil.copytree(data_set / "train", data_set / ".trash")
    report = check_dataset(data_set, 1)
    assert report.problems == {} and "test/input: 2 of 48x40 pixels" in report.lines
    assert not any("trash" in line for line in report.lines)


def test_what_is_no_image_is_counted(data_set, caplog):
    for name in ("a.xcf", "b.xcf", "notes.txt", ".c.psd"):
        (data_set / "test" / "input" / name).touch()
    assert check_dataset(data_set, 1).problems == {}
    assert f"{data_set}/test/input: 2 files left out: .xcf (2)" in caplog.text


def test_one_target_for_several_inputs_is_no_mistake(data_set):
    folder = data_set / "test"
    shutil.copy(folder / "target" / "t0.png", folder / "target" / "again.png")
    write_png(folder / "input" / "again.png", read_rgb(folder / "input" / "t0.png") + 1)
    report = check_dataset(data_set, 1)
    assert report.problems == {}
    assert "test/target: 3 of 48x40 pixels, 2 different" in report.lines


def test_files_without_a_partner(data_set):
    (data_set / "train" / "input" / "photo_1.png").unlink()
    (data_set / "train" / "grouped_masks" / "photo_2.png").unlink()
    ((_, places),) = problems(data_set).items()
    assert places == [
        f"{data_set}/train/input has no 'photo_1'",
        f"{data_set}/train/grouped_masks has no 'photo_2'",
    ]


def test_a_missing_folder(data_set):
    shutil.rmtree(data_set / "test" / "input")
    ((problem, places),) = problems(data_set).items()
    assert "folder" in problem and len(places) == 1 and "test/input: no such folder" in places[0]


def test_jpegs_damaged_in_the_middle_are_found_and_palettes_of_labels_are_read(
    data_set, harmed_jpeg, palette_png
):
    train = data_set / "train"
    (train / "input" / "photo_1.png").write_bytes(harmed_jpeg)
    (train / "grouped_masks" / "photo_3.png").write_bytes(palette_png(np.arange(40 * 48).reshape(40, 48) % 9))
    report = check_dataset(data_set, 1)
    ((_, (place,)),) = report.problems.items()
    assert place.startswith(f"{train / 'input' / 'photo_1.png'}: the JPEG is damaged")
    assert "train/grouped_masks: 6 of 48x40 pixels, regions: least 3, median 3, most 8" in report.lines


def test_files_that_cannot_be_used_are_all_told(data_set):
    train = data_set / "train"
    (train / "target" / "photo_0.png").write_bytes(b"")
    write_png(train / "grouped_masks" / "photo_3.png", np.full((40, 48, 3), (1, 2, 3), np.uint8))
    ((_, places),) = problems(data_set).items()
    assert [place.split(":")[0] for place in places] == [
        str(train / "target" / "photo_0.png"),
        str(train / "grouped_masks" / "photo_3.png"),
    ]


@pytest.mark.parametrize("folder", ["input", "grouped_masks", "input_mask"])
def test_sizes_that_differ(data_set, folder):
    path = data_set / "train" / folder / "photo_4.png"
    if folder == "grouped_masks":
        write_label_map(path, np.ones((40, 40), np.int32))
    else:
        write_png(path, np.ones((40, 40) if folder == "input_mask" else (40, 40, 3), np.uint8))
    ((problem, places),) = problems(data_set).items()
    assert problem.startswith("sizes that differ")
    assert len(places) == 1 and places[0].startswith("train/photo_4: target 48x40")
    assert f"{folder} 40x40" in places[0]


def test_the_same_blurred_image_twice_whatever_its_compression(data_set):
    train = data_set / "train"
    for folder in ("target", "input", "grouped_masks", "input_mask"):
        shutil.copy(train / folder / "photo_0.png", train / folder / "copy.png")
    image = read_rgb(train / "input" / "photo_0.png")
    (train / "input" / "copy.png").write_bytes(encode_png(image, compression=0))
    ((problem, places),) = problems(data_set).items()
    assert problem.startswith("the same blurred image twice")
    assert places == ["train/input/copy = train/input/photo_0"]


def test_an_image_in_two_splits_is_a_leak(data_set):
    for folder in ("target", "input"):
        shutil.copy(data_set / "test" / folder / "t1.png", data_set / "train" / folder / "other_name.png")
    write_label_map(data_set / "train" / "grouped_masks" / "other_name.png", np.ones((40, 48), np.int32))
    write_png(data_set / "train" / "input_mask" / "other_name.png", np.ones((40, 48), np.uint8))
    found = problems(data_set)
    assert list(found) == ["one image in two splits; remove it from the training split"]
    ((places),) = found.values()
    assert sorted(places) == [
        "test/input/t1 = train/input/other_name",
        "test/target/t1 = train/target/other_name",
    ]


def test_an_input_that_is_its_target(data_set):
    shutil.copy(data_set / "test" / "target" / "t0.png", data_set / "test" / "input" / "t0.png")
    ((problem, places),) = problems(data_set).items()
    assert problem.startswith("an input that equals its target") and places == ["test/t0"]


def test_what_is_no_data_set(tmp_path):
    with pytest.raises(UserError, match="has no split"):
        check_dataset(tmp_path, 1)
    with pytest.raises(UserError, match="no such folder"):
        check_dataset(tmp_path / "absent", 1)


def test_the_command_prints_the_report_and_exits_with_1_if_something_is_wrong(data_set, run_script):
    words = ("data_preparation/check_dataset.py", data_set, "--workers", 1)
    good = run_script(*words)
    assert good.returncode == 0 and "nothing wrong found" in good.stdout
    (data_set / "test" / "input" / "t0.png").write_bytes(
        cv2.imencode(".png", np.zeros((4, 4)))[1].tobytes()[:-20]
    )
    bad = run_script(*words)
    assert bad.returncode == 1
    assert "wrong: files that cannot be used" in bad.stdout and "t0.png" in bad.stdout
    assert "error: " in bad.stderr and "Traceback" not in bad.stderr
