"""Names that are commands of a terminal, several lines, turned text or no text: files like all others."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import torch
import yaml

from basicsr.archs.nafnet import NAFNet
from basicsr.checkpoints.weights import save_network
from basicsr.commands import restore, test
from basicsr.preparation.layouts.crop_patches import CropWindows, crop_folder
from basicsr.preparation.layouts.make_lmdb import make_lmdb
from basicsr.preparation.manifest import Record, read_lines, to_line
from basicsr.reporting.page import read_page
from basicsr.utils.errors import UserError
from basicsr.utils.files import append_line
from basicsr.utils.image import encode_png, read_rgb

SMALL = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 1, "dec_blk_nums": [1]}
NO_TEXT = os.fsdecode(b"byte\xff")
NAMES = ["two\nlines", "red\x1b[31m", "gpj.\u202egnp", NO_TEXT]
ESCAPED = [r"two\nlines", r"red\x1b[31m", r"gpj.\u202egnp", r"byte\udcff"]
RAW = ["two\nlines", "\x1b", "\u202e", "\udcff"]


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A folder with weights and photos, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    save_network(tmp_path / "net.pth", NAFNet(**SMALL), None, {"type": "NAFNet", **SMALL})
    for number, name in enumerate(NAMES):
        for folder in ("target", "input"):
            path = tmp_path / folder / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
            path.write_bytes(encode_png(pixels))
    return tmp_path


def require_escaped(output: str) -> None:
    assert [name for name in RAW if name in output] == []
    assert [name for name in ESCAPED if name not in output] == []


def test_they_are_restored_and_reported(work, capsys):
    (work / "input" / f"{NAMES[0]} broken.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        restore.main(["-i", "input", "-o", "out", "--weights", "net.pth", "--device", "cpu"])
    output = capsys.readouterr()
    require_escaped(output.out)
    assert output.err.startswith(
        "error: 1 of 5 could not be restored:\n  input/two\\nlines broken.png: not an"
    )
    assert all(read_rgb(work / "out" / f"{name}.png").shape == (24, 32, 3) for name in NAMES)
    images = read_page(work / "out" / "report.html")["sets"][0]["images"]
    assert {image["key"] for image in images} == {f"{name}.png" for name in NAMES}
    links = {image["results"][0]["full"] for image in images}
    assert links == {quote(os.fsencode(f"{name}.png")) for name in NAMES}


def test_they_are_tested_and_measured(work, capsys):
    options = {
        "name": "hostile",
        "model_type": "ImageRestorationModel",
        "num_gpu": 0,
        "datasets": {
            "test": {
                "name": "set",
                "type": "PairedImageDataset",
                "dataroot_gt": "target",
                "dataroot_lq": "input",
            }
        },
        "network_g": {"type": "NAFNet", **SMALL},
        "path": {"pretrain_network_g": "net.pth"},
        "val": {"save_img": True, "metrics": {"psnr": {"type": "calculate_psnr"}}},
    }
    (work / "a.yml").write_text(yaml.safe_dump(options))
    test.main(["-opt", "a.yml"])
    (metrics,) = work.glob("results/**/metrics.json")
    (of_set,) = json.loads(metrics.read_bytes()).values()
    rows = of_set["images"]
    assert {row["key"] for row in rows} == set(NAMES)
    with metrics.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        assert {row["key"] for row in csv.DictReader(file)} == {*NAMES[:3], ESCAPED[3]}
    (page,) = work.glob("results/**/report.html")
    assert {image["key"] for image in read_page(page)["sets"][0]["images"]} == set(NAMES)
    output = capsys.readouterr()
    assert [name for name in RAW if name in output.out + output.err] == []


def test_they_are_cut_into_crops(work):
    crop_folder(work / "input", work / "crops", CropWindows(16, 16, False), 1)
    cut = {path.name for path in (work / "crops").rglob("*.png")}
    assert {name for name in NAMES if any(found.startswith(name) for found in cut)} == set(NAMES)


def test_records_hold_them(work):
    records = [Record(name, 24, 32, 3, ["a note"], 1000, "parameters") for name in NAMES]
    for record in records:
        append_line(work / "records.jsonl", to_line(record))
    assert list(read_lines(work / "records.jsonl", Record)) == records


@pytest.mark.parametrize("name", [NAMES[0], NO_TEXT])
def test_a_list_that_is_a_text_refuses_them(work, name):
    for other in {*NAMES} - {name}:
        (work / "input" / f"{other}.png").unlink()
    with pytest.raises(UserError, match="cannot stand in meta_info.txt; rename the file"):
        make_lmdb(work / "input", work / "a.lmdb", 1)
    assert not (work / "a.lmdb").exists()
