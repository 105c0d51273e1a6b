"""``sam-deblur doctor``: what it finds here, and what it says where something is wrong."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from setuptools import Distribution

from basicsr import __version__, console
from basicsr.diagnosis.finding import Finding
from basicsr.diagnosis.self_test import keeps_lmdb, keeps_png, picture, restores, trains
from basicsr.utils import shipped
from basicsr.utils.extras import EXTRAS, Extra
from basicsr.utils.fetchable import FETCHABLE

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = shipped.WEIGHTS


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = 0
    try:
        console.main(["doctor", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


def row(out: str, name: str) -> str:
    """What the report states about a name, in one line."""
    found = re.search(rf"^  {re.escape(name)} {{2,}}(.+(?:\n {{22}}.+)*)", out, re.M)
    assert found is not None, out
    return " ".join(found.group(1).split())


def test_report_has_what_is_here_in_80_columns(capsys, cache):
    code, out, err = run(capsys, "--no_test")
    assert (code, err) == (0, "") and out.endswith("\nnothing essential is missing\n")
    assert re.findall(r"^\w+$", out, re.M) == ["Versions", "Devices", "Extras", "Weights", "Folders"]
    assert row(out, "sam-deblur").startswith(f"{__version__}, in ")
    assert row(out, "torch") == torch.__version__ and row(out, "numpy") == np.__version__
    size = (SHIPPED / "SegNAFNet.safetensors").stat().st_size
    assert row(out, "SegNAFNet") == f"bundled, {size / 1e6:.1f} MB"
    assert row(out, "maxim-deraining").endswith("sam-deblur weights get maxim-deraining")
    assert row(out, "masks (cache)").startswith(f"{cache}/sam-deblur/masks, ")
    words_too_long = [line for line in out.splitlines() if len(line) > 80 and len(line.split()[-1]) < 58]
    assert "\x1b" not in out and words_too_long == []


@pytest.mark.slow
def test_installation_passes_the_test(capsys):
    code, out, err = run(capsys)
    assert (code, err) == (0, "") and out.endswith("\nall that is essential works\n")
    assert re.fullmatch(r"ok, [\d.]+ dB blurred, [\d.]+ dB restored", row(out, "restore, cpu"))
    assert row(out, "train, cpu") == row(out, "PNG") == row(out, "LMDB") == "ok"


def test_fetched_weights_are_found(capsys):
    one = FETCHABLE["maxim-denoising"]
    one.path.parent.mkdir(parents=True)
    one.path.write_bytes(bytes(2_100_000))
    assert row(run(capsys, "--no_test")[1], "maxim-denoising") == f"fetched, 2.1 MB: {one.what}"


def test_a_package_that_cannot_be_imported_fails(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    code, out, err = run(capsys)
    assert (code, err) == (1, "error: doctor: torchvision: see above what to do\n")
    assert row(out, "torchvision").endswith("pip install --force-reinstall torchvision")
    assert "\nWeights\n" in out and "\nTest\n" not in out


def test_bundled_weights_that_are_missing_or_damaged_fail(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    shutil.copy(SHIPPED / "SegNAFNet.safetensors", tmp_path)
    code, out, _ = run(capsys, "--no_test")
    assert code == 1 and row(out, "NAFNet").startswith("bundled, but the file is missing pip install ")
    for name in ("NAFNet", "MAXIM-1S"):
        (tmp_path / f"{name}.safetensors").touch()
    (tmp_path / "SegNAFNet.safetensors").write_bytes(b"damaged")
    code, out, err = run(capsys)
    assert (code, err) == (1, "error: doctor: restore, cpu: see above what to do\n")
    assert row(out, "restore, cpu").startswith(f"failed: {tmp_path}/SegNAFNet.safetensors: ")
    assert row(out, "LMDB") == "ok"


def test_tasks_of_the_test_see_what_is_wrong(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="no weight"), monkeypatch.context() as still:
        still.setattr(torch.optim.AdamW, "step", lambda self: None)
        trains("cpu")
    with pytest.raises(RuntimeError, match="dB, the blurred one"), monkeypatch.context() as identity:
        identity.setattr("basicsr.restoration.Restorer.restore", lambda self, image: image)
        restores("cpu")
    for keeps in (keeps_png, keeps_lmdb):
        assert keeps(tmp_path) == ""
    assert (tmp_path / "picture.png").is_file() and (tmp_path / "pictures.lmdb").is_dir()
    assert picture().shape == (96, 128, 3) and len(np.unique(picture())) == 2


def test_extras_are_those_of_the_package(monkeypatch):
    monkeypatch.chdir(ROOT)
    package = Distribution({"script_name": "setup.py"})
    package.parse_config_files()
    listed = {
        name: tuple(re.match(r"[\w-]+", one).group() for one in packages)
        for name, packages in package.extras_require.items()
    }
    assert {extra.name: extra.packages for extra in EXTRAS} == listed


def test_a_missing_package_of_an_extra_is_named():
    extra = Extra("own", "does something", ("numpy", "no-such-package-of-anybody"))
    assert extra.missing() == ["no-such-package-of-anybody"]
    assert extra.install == "pip install 'sam-deblur[own]'"


def test_long_and_odd_texts_stay_in_their_column():
    text = Finding("a name that is longer than its column", "word " * 30, "do\x1bit").text()
    first, *others = text.splitlines()
    assert first.startswith("  a name that is longer than its column  word word") and len(first) <= 80
    assert all(line.startswith(" " * 22) and len(line) <= 80 for line in others)
    assert others[-1].strip() == r"do\x1bit"
