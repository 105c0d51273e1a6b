"""FID of two folders: what pairs, what is refused, and that it is the figure of the metric."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from basicsr.commands.evaluate.fid import main
from basicsr.metrics.fid import FID, frechet_distance
from basicsr.protocols.fid import evaluate_fid
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for folder, names in (("ours", "abc"), ("theirs", "wxyz")):
        for name in names:
            write_png(tmp_path / folder / f"{name}.png", rng.integers(0, 256, (9, 12, 3), np.uint8))
    return tmp_path / "ours", tmp_path / "theirs", tmp_path / "out"


@pytest.fixture
def mean_colors(monkeypatch, tmp_path):
    """In the place of the network, whose own test is that of the metric: features are mean colors."""

    def prepare(self, weights: str, device: str) -> None:
        assert weights == str(tmp_path / "weights.pth") and device == "cpu"

    monkeypatch.setattr(FID, "__init__", prepare)
    monkeypatch.setattr(FID, "features", lambda self, image: image.reshape(-1, 3).mean(0))
    (tmp_path / "weights.pth").touch()
    return tmp_path / "weights.pth"


def means(folder) -> np.ndarray:
    return np.stack([read_rgb(path).reshape(-1, 3).mean(0) for path in sorted(folder.iterdir())])


def test_folders_need_not_pair(folders, mean_colors) -> None:
    ours, theirs, out = folders
    evaluation = evaluate_fid(ours, theirs, out, mean_colors, "cpu")
    assert evaluation.mean["fid"] == pytest.approx(frechet_distance(means(ours), means(theirs)), rel=1e-9)
    written = json.loads((out / "metrics.json").read_text())["fid"]
    assert written["mean"] == evaluation.mean
    assert written["images"] == [{"key": name} for name in "abc"]
    with pytest.raises(UserError, match="exists already"):
        evaluate_fid(ours, theirs, out, mean_colors, "cpu")


def test_16_bits_are_judged_as_8(folders, mean_colors) -> None:
    ours, theirs, out = folders
    expected = evaluate_fid(ours, theirs, out, mean_colors, "cpu").mean
    for path in ours.iterdir():
        write_png(path, read_rgb(path).astype(np.uint16) * 257)
    again = evaluate_fid(ours, theirs, out, mean_colors, "cpu", overwrite=True)
    assert again.mean == pytest.approx(expected, rel=1e-12)


def test_the_command_says_the_figure_or_what_is_missing(folders, mean_colors, capsys) -> None:
    ours, theirs, out = map(str, folders)
    main([ours, theirs, "-o", out, "--weights", str(mean_colors), "--device", "cpu"])
    figure = json.loads((folders[2] / "metrics.json").read_text())["fid"]["mean"]["fid"]
    output = "".join(capsys.readouterr())
    assert f"{figure:.4f}" in output and "metrics.json" in output
    with pytest.raises(SystemExit) as end:
        main([ours, theirs, "-o", f"{out}2", "--weights", "absent.pth"])
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "error: absent.pth: no such file; --weights takes a file with Inception v3\n"
    )


def test_one_image_is_too_few(folders, mean_colors) -> None:
    ours, theirs, out = folders
    for name in "bc":
        (ours / f"{name}.png").unlink()
    with pytest.raises(UserError, match="FID needs at least 2 images on each side, got 1 and 4"):
        evaluate_fid(ours, theirs, out, mean_colors, "cpu")
    assert not out.exists()


def test_without_weights_the_hint_is_given(folders, tmp_path) -> None:
    with pytest.raises(UserError, match="absent.pth: no such file; --weights takes a file with Inception v3"):
        evaluate_fid(*folders, tmp_path / "absent.pth", "cpu")
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="other.pth: has 3 classes; use pytorch-fid"):
        evaluate_fid(*folders, tmp_path / "other.pth", "cpu")
