"""Label pictures compared: figures counted by hand, what is read, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from basicsr.commands.evaluate.segmentation import main
from basicsr.protocols.segmentation import Overlap, evaluate_segmentation
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png

# Of 8 pixels 5 agree. Class 0: 2 shared, 3 predicted, 3 true; class 1: 2, 3, 4; class 7: 1, 2, 1.
PREDICTED = np.array([[0, 0, 1, 1], [1, 7, 7, 0]], np.uint8)
TRUE = np.array([[0, 0, 1, 1], [0, 1, 7, 1]], np.uint8)
IOU = [2 / 4, 2 / 5, 1 / 2]
DICE = [4 / 6, 4 / 7, 2 / 3]


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path, Path]:
    write_png(tmp_path / "ours" / "city" / "a.png", PREDICTED)
    write_png(tmp_path / "true" / "city" / "a.png", TRUE)
    return tmp_path / "ours", tmp_path / "true", tmp_path / "out"


def test_figures_counted_by_hand(folders) -> None:
    evaluation = evaluate_segmentation(*folders, workers=1)
    expected = {"iou": np.mean(IOU), "pixel_accuracy": 5 / 8, "dice": np.mean(DICE)}
    assert evaluation.mean == pytest.approx(expected, abs=1e-12)
    written = json.loads((folders[2] / "metrics.json").read_text())["segmentation"]
    assert written["mean"] == pytest.approx(expected) and written["images"][0]["key"] == "city/a"
    rows = list(csv.DictReader((folders[2] / "classes.csv").open()))
    assert [row["class"] for row in rows] == ["0", "1", "7"]
    assert [row["pixels"] for row in rows] == ["3", "4", "1"]
    assert [float(row["iou"]) for row in rows] == pytest.approx(IOU)
    assert [float(row["dice"]) for row in rows] == pytest.approx(DICE)


def test_a_set_is_all_its_pixels_together(folders) -> None:
    """Not the mean over the pictures: of class 0, 2 + 8 of 4 + 8 pixels are shared."""
    ours, true, out = folders
    for folder in (ours, true):
        write_png(folder / "b.png", np.zeros((2, 4), np.uint8))
    evaluation = evaluate_segmentation(ours, true, out, workers=1)
    assert evaluation.mean["iou"] == pytest.approx(np.mean([10 / 12, 2 / 5, 1 / 2]), abs=1e-12)
    assert evaluation.mean["pixel_accuracy"] == pytest.approx(13 / 16, abs=1e-12)
    assert [row["iou"] for row in evaluation.rows] == pytest.approx([1, np.mean(IOU)], abs=1e-12)


def test_pixels_of_ignored_labels_do_not_count(folders) -> None:
    """Without the true 7, the other 7 that was predicted still is a mistake."""
    evaluation = evaluate_segmentation(*folders, ignore=[7, 200], workers=1)
    assert evaluation.mean["pixel_accuracy"] == pytest.approx(4 / 7, abs=1e-12)
    assert evaluation.mean["iou"] == pytest.approx(np.mean([2 / 4, 2 / 5, 0 / 1]), abs=1e-12)
    with pytest.raises(UserError, match="true: has only ignored labels; ignore fewer"):
        evaluate_segmentation(*folders[:2], folders[2] / "none", ignore=[0, 1, 7], workers=1)


def test_a_picture_with_nothing_that_counts_has_no_figures(folders) -> None:
    ours, true, out = folders
    write_png(ours / "b.png", np.zeros((2, 2), np.uint8))
    write_png(true / "b.png", np.full((2, 2), 255, np.uint8))
    evaluation = evaluate_segmentation(ours, true, out, ignore=[255], workers=1)
    assert evaluation.rows[0] == {"key": "b"}
    assert evaluation.mean["iou"] == pytest.approx(np.mean(IOU), abs=1e-12)


def test_palettes_and_16_bits_hold_the_same_labels(folders) -> None:
    ours, true, out = folders
    picture = Image.fromarray(PREDICTED, mode="P")
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    picture.save(ours / "city" / "a.png")
    write_png(true / "city" / "a.png", TRUE.astype(np.uint16))
    assert evaluate_segmentation(ours, true, out, workers=1).mean["iou"] == pytest.approx(np.mean(IOU))


def test_many_labels_of_16_bits() -> None:
    labels = np.random.default_rng(0).integers(0, 65536, (40, 50)).astype(np.uint16)
    overlap = Overlap.sum([Overlap.of(labels, labels), Overlap.of(labels[:3], labels[:3])])
    assert (overlap.iou == 1).all() and (overlap.dice == 1).all()
    assert overlap.true.sum() == 40 * 50 + 3 * 50


class TestRefused:
    def test_names_that_do_not_pair(self, folders) -> None:
        write_png(folders[0] / "b.png", PREDICTED)
        with pytest.raises(UserError, match="do not pair by name: .*true lacks 1 of .*ours: b"):
            evaluate_segmentation(*folders, workers=1)

    def test_other_sizes(self, folders) -> None:
        write_png(folders[0] / "city" / "a.png", PREDICTED[:, :3])
        with pytest.raises(UserError, match="a.png: has 3x2 pixels, the true one 4x2; make them the same"):
            evaluate_segmentation(*folders, workers=1)

    def test_photos(self, folders) -> None:
        photo = np.random.default_rng(0).integers(0, 256, (2, 4, 3), np.uint8)
        write_png(folders[0] / "city" / "a.png", photo)
        with pytest.raises(UserError, match="expected one channel"):
            evaluate_segmentation(*folders, workers=1)
        assert not folders[2].exists()

    def test_results_are_kept(self, folders) -> None:
        evaluate_segmentation(*folders, workers=1)
        (folders[2] / "metrics.json").unlink()
        with pytest.raises(UserError, match="exists already"):
            evaluate_segmentation(*folders, workers=1)
        evaluate_segmentation(*folders, overwrite=True, workers=1)


def test_the_command_writes_and_says_the_figures(folders, capsys) -> None:
    ours, true, out = map(str, folders)
    main([ours, true, "-o", out, "--ignore", "7", "--workers", "1"])
    output = capsys.readouterr()
    assert "pixel_accuracy" in output.out + output.err and "0.5714" in output.out + output.err
    with pytest.raises(SystemExit) as end:
        main([ours, true, "-o", out])
    assert end.value.code == 1 and "exists already" in capsys.readouterr().err
