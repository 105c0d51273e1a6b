"""Pictures of both images side by side: what is cut, what is kept, and the warning of exchanged halves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from basicsr.commands.prepare.rain import main
from basicsr.preparation.layouts.check_dataset import check_dataset
from basicsr.utils.checksum import without_checksum
from basicsr.utils.image import read_rgb, write_png


@pytest.fixture
def download(tmp_path) -> Path:
    """Four smooth photos, in rain at the left."""
    smooth = np.linspace(40, 160, 16)[:, None, None] * np.ones((1, 12, 3))
    for number, place in enumerate(("training/Rain_Heavy/0", "training/Rain_Light/0", "test/0", "test/1")):
        streaks = np.zeros((16, 12, 1))
        streaks[:, number::5] = 60
        picture = np.concatenate([smooth + streaks, smooth + number], axis=1).astype(np.uint8)
        write_png(tmp_path / "download" / f"DID-MDN-{place}.png", picture)
    return tmp_path / "download"


def run(capsys, download: Path, *words: str) -> tuple[int, str]:
    code = 0
    try:
        main(["DID", str(download), str(download.parent / "DID"), "--workers", "1", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, "".join(capsys.readouterr())


@pytest.fixture
def target(download) -> Path:
    return download.parent / "DID"


def test_halves_are_pairs(download, target, capsys) -> None:
    code, output = run(capsys, download)
    assert code == 0 and "pairs of halves, rainy left: test 2, train 2; 8 files made" in output
    assert "test has 2 pairs, the official DID 1200: 1198 too few" in output and "smoother" not in output
    picture = read_rgb(download / "DID-MDN-training/Rain_Heavy/0.png")
    for folder, half in (("input", picture[:, :12]), ("target", picture[:, 12:])):
        np.testing.assert_array_equal(read_rgb(target / "train" / folder / "Rain_Heavy-0.png"), half)
    assert check_dataset(target, 1).problems == {}
    made_of = without_checksum(json.loads((target / "layout.json").read_text()))
    assert made_of == {"dataset": "DID", "kinds": ["halves, rainy left"]}


def test_a_second_run_makes_what_is_missing(download, target, capsys) -> None:
    run(capsys, download)
    (target / "test" / "input" / "1.png").unlink()
    write_png(target / "test" / "input" / "0.png", np.zeros((2, 2, 3), np.uint8))
    code, output = run(capsys, download)
    assert code == 0 and "1 files made, 7 there already" in output
    assert read_rgb(target / "test" / "input" / "0.png").shape == (2, 2, 3), "not overwritten"


def test_halves_that_look_exchanged_are_told_and_never_mixed(download, target, capsys) -> None:
    code, output = run(capsys, download, "--rainy", "right")
    assert code == 0
    assert "in 4 of 4 pictures the right half, taken as rainy, is the smoother one" in output
    assert "use --rainy left" in output
    code, output = run(capsys, download)
    assert code == 1 and "is made from halves, rainy right; choose another folder" in output
    assert json.loads((target / "layout.json").read_text())["kinds"] == ["halves, rainy right"]


def test_pictures_without_two_equal_halves_are_named(download, target, capsys) -> None:
    write_png(download / "DID-MDN-test" / "2.png", np.zeros((4, 7, 3), np.uint8))
    code, output = run(capsys, download)
    assert code == 1 and "2.png: has 7x4 pixels, not two equal halves; leave it out" in output
    assert (target / "test" / "input" / "1.png").is_file(), "the others are done"
