"""The commands that prepare data, as they are typed."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "data_preparation"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script of the folder in this process."""

    def command(script: str, *arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(FOLDER / script), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capsys.readouterr())

    return command


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_ends_with_an_example_of_the_command_itself(run, script):
    done = run(script, "--help")
    assert done.code == 0
    _, found, examples = " ".join(done.out.split()).partition("example")
    assert found and f"python scripts/data_preparation/{script} " in examples


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_waits_for_nothing_heavy(script):
    line = [sys.executable, "-X", "importtime", str(FOLDER / script), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parents[1])}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
    imported = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "cv2", "numpy"}


def write(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(path))
    return path.name


def gopro(folder: Path) -> None:
    for clip in ("train/a", "test/b"):
        for kind in ("blur", "blur_gamma", "sharp"):
            write(folder / clip / kind / "000001.png")


def reds(folder: Path) -> None:
    for kind in ("train_blur", "train_sharp", "val_blur", "val_sharp"):
        write(folder / kind / "000" / "00000000.png")


def realblur(folder: Path) -> None:
    for split in ("train", "test"):
        names = [f"set/{split}1/{kind}/{kind}_1.png" for kind in ("gt", "blur")]
        for name in names:
            write(folder / name)
        (folder / f"RealBlur_J_{split}_list.txt").write_text(" ".join(names))


def reloblur(folder: Path) -> None:
    for split in ("train", "test"):
        for kind in ("sharp", "blur"):
            write(folder / split / "s1" / f"00_{kind}.png")


DOWNLOADS = {
    "gopro.py": (gopro, "blur: train 1, test 1", "train has 1 pairs, the official GoPro 2103: 2102 too few"),
    "reds.py": (reds, "blur: train 1, val 1", "val has 1 pairs, the official REDS 3000: 2999 too few"),
    "realblur.py": (realblur, "RealBlurJ: train 1, test 1", "the official RealBlur 980: 979 too few"),
    "reloblur.py": (reloblur, "blur: train 1, test 1", "the official ReLoBlur 395: 394 too few"),
}


@pytest.mark.parametrize("script", DOWNLOADS)
def test_a_download_is_placed_and_what_is_used_and_missing_is_said(run, tmp_path: Path, script):
    make, pairs, warning = DOWNLOADS[script]
    make(tmp_path / "download")
    inside = run(script, tmp_path / "download", tmp_path / "download" / "set")
    assert (inside.code, inside.out) == (1, "")
    assert "lies in the input folder" in inside.err
    done = run(script, tmp_path / "download", tmp_path / "set", "--link", "copy")
    assert done.code == 0
    assert f"pairs of {pairs}; 4 files made, 0 there already" in done.out
    assert warning in done.out
    placed = (tmp_path / "set").rglob("*.png")
    folders = {path.relative_to(tmp_path / "set").parent.as_posix() for path in placed}
    assert folders == {f"{split}/{kind}" for split in pairs.split()[1::2] for kind in ("target", "input")}


def test_gopro_says_which_blur_is_used_and_warns_of_both(run, tmp_path: Path):
    gopro(tmp_path / "download")
    assert "pairs of blur_gamma:" in run("gopro.py", tmp_path / "download", tmp_path / "set", "--blur",
                                         "blur_gamma").out  # fmt: skip
    for path in (tmp_path / "set" / "train").rglob("*.png"):
        path.unlink()
    mixed = run("gopro.py", tmp_path / "download", tmp_path / "set")
    assert mixed.code == 1
    assert "(made from blur, blur_gamma) differ from blur" in mixed.err


def test_a_download_that_is_none_is_one_line(run, tmp_path: Path):
    for script in DOWNLOADS:
        done = run(script, tmp_path, tmp_path.parent / "set")
        assert done.code == 1
        assert done.err.startswith("error: ") and done.err.count("\n") == 1
