"""``sam-deblur new options``: what it makes of folders of pairs trains as it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from basicsr import console
from basicsr.config.load import load_config
from basicsr.config.option_files import shipped_option_files
from basicsr.masks.label_map import write_label_map
from basicsr.utils.image import write_png

NEW = ("new", "options")


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        console.main([str(word) for word in words])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


def write_pairs(folder: Path, count: int, masks: bool = False, size: tuple[int, int] = (40, 52)) -> None:
    """Pairs photo_00.png, ..; the last one is smaller by four pixels."""
    generator = np.random.default_rng(count)
    for index in range(count):
        height, width = (side - 4 * (index == count - 1) for side in size)
        name = f"photo_{index:02}.png"
        image = generator.integers(0, 255, (height, width, 3), dtype=np.uint8)
        write_png(folder / "target" / name, image)
        write_png(folder / "input" / name, image // 2)
        if masks:
            write_label_map(folder / "grouped_masks" / name, (image[..., 0] > 99).astype(np.int32))


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def trains(capsys, file: str) -> dict:
    """Train two steps; what validation says."""
    quick = ["num_gpu=0", "train.total_iter=2", "val.val_freq=2", "logger.print_freq=1"]
    quick += ["datasets.train.batch_size_per_gpu=2", "network_g.train_size=null"]
    quick += ["datasets.train.num_worker_per_gpu=0", "datasets.val.num_worker_per_gpu=0"]
    code, _, err = run(capsys, "train", file, "--set", *quick)
    assert code == 0, err
    assert (Path("experiments") / Path(file).stem / "models/net_g_best.pth").is_file()
    return json.loads(lines(f"experiments/{Path(file).stem}/events.jsonl")[-1])


def test_without_masks_and_without_validation_a_tenth_of_the_pairs_is_kept(capsys):
    write_pairs(Path("Mine"), 12)
    code, out, err = run(capsys, *NEW, "Mine")
    assert (code, err) == (0, "")
    message = "Mine-NAFNet.yml: trains NAFNet on 11 pairs, validated on 1; sam-deblur train Mine-NAFNet.yml"
    assert out.splitlines()[0] == message
    assert lines("Mine-NAFNet.train.txt") == [f"photo_{index:02}.png" for index in range(11)]
    assert lines("Mine-NAFNet.val.txt") == ["photo_11.png"]
    config = load_config("Mine-NAFNet.yml")
    assert config.network_g.type == "NAFNet" and config.path.pretrain_network_g == "NAFNet"
    assert config.datasets["train"].options["gt_size"] == 32
    assert config.datasets["train"].batch_size_per_gpu == 8
    assert config.train.total_iter == config.train.scheduler.options["T_max"] == 1000
    validated = trains(capsys, "Mine-NAFNet.yml")
    assert (validated["dataset"], validated["iter"]) == ("Mine-NAFNet-val", 2) and validated["psnr"] > 0


def test_with_masks_and_a_validation_folder(capsys):
    write_pairs(Path("Mine/train"), 3, masks=True)
    write_pairs(Path("Mine/val"), 2, masks=True)
    code, out, err = run(capsys, *NEW, "Mine", "-o", "own/tuned.yml")
    assert (code, err) == (0, "")
    assert out.startswith("own/tuned.yml: trains SegNAFNet on 3 pairs, validated on 2; sam-deblur train own/")
    assert os.listdir("own") == ["tuned.yml"]
    config = load_config("own/tuned.yml")
    assert config.name == "tuned" and config.datasets["val"].options["dataroot_gt"] == "Mine/val/target"
    assert config.datasets["train"].options["dataroot_mask"] == "Mine/train/grouped_masks"
    assert config.datasets["train"].batch_size_per_gpu == 3
    assert trains(capsys, "own/tuned.yml")["dataset"] == "tuned-val"


def test_validation_folders_without_masks_are_for_networks_without_them(capsys):
    write_pairs(Path("Mine/train"), 3, masks=True)
    write_pairs(Path("Mine/test"), 2)
    assert run(capsys, *NEW, "Mine")[1].startswith(
        "Mine-NAFNet.yml: trains NAFNet on 3 pairs, validated on 2;"
    )
    code, _, err = run(capsys, *NEW, "Mine", "--from", "SegNAFNet")
    hint = "'sam-deblur masks Mine/test/input Mine/test/grouped_masks' makes them, or use --from NAFNet"
    assert (code, err) == (1, f"error: Mine/test/grouped_masks: no masks, which SegNAFNet takes; {hint}\n")


def test_steps_grow_with_the_pairs_and_large_photos_keep_the_crops_of_the_recipe(capsys):
    write_pairs(Path("Mine"), 100, size=(8, 8))
    write_pairs(Path("Mine"), 1, size=(150, 160))  # replaces the first
    assert run(capsys, *NEW, "Mine")[0] == 0
    config = load_config("Mine-NAFNet.yml")
    assert config.train.total_iter == 90 * 100 // 8
    assert config.datasets["train"].options["gt_size"] == 8  # no multiple of 16 fits
    write_pairs(Path("Large"), 2, size=(200, 300))
    assert run(capsys, *NEW, "Large")[0] == 0
    assert load_config("Large-NAFNet.yml").datasets["train"].options["gt_size"] == 128


def test_a_recipe_by_its_name_lasts_as_long_as_the_pairs_are_many(capsys):
    write_pairs(Path("Mine"), 4)
    assert run(capsys, *NEW, "Mine", "--from", "GoPro/SRN")[0] == 0
    recipe = yaml.safe_load(Path("Mine-SRN.yml").read_text())
    assert recipe["base"] == "options/train/GoPro/SRN.yml"
    config = load_config("Mine-SRN.yml")
    assert config.network_g.type == "SRN" and config.path.pretrain_network_g is None
    assert config.train.total_iter == 1000 and config.train.scheduler.type == "PolynomialLR"


def test_nothing_is_overwritten(capsys):
    write_pairs(Path("Mine"), 2)
    Path("Mine-NAFNet.val.txt").write_text("mine")
    message = "error: Mine-NAFNet.val.txt: exists already; choose another name with --output\n"
    assert run(capsys, *NEW, "Mine") == (1, "", message)
    assert not Path("Mine-NAFNet.yml").exists() and Path("Mine-NAFNet.val.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["Nowhere"], 1, "Nowhere: no such folder; check the path"),
        (["."], 1, ".: has no pairs; it needs target and input, or train/target and train/input, with"),
        (["One"], 1, "One: has only one pair; add another one for validation"),
        (["Odd"], 1, "files do not pair by name: Odd/input lacks 1 of Odd/target: photo_02"),
        (["Spaces"], 1, "Spaces/target/ a.png: a list cannot hold this name; rename the pair"),
        (["Mine", "--from", "GoPro/NAFNett"], 2, "--from: no option file for training has the name 'GoPro/"),
        (["Mine", "--from", "REDS7/HyperCUT"], 2, "--from: REDS7/HyperCUT trains on a ClipDataset, not on"),
        (["Mine", "--from", "MAXIM"], 2, "pretrain_network_g: not fetched yet; 'sam-deblur weights get max"),
    ],
)
def test_mistakes_are_one_line(words, code, message, capsys):
    for name, count in (("Mine", 2), ("One", 1), ("Odd", 3), ("Spaces", 2)):
        write_pairs(Path(name), count)
    Path("Odd/input/photo_02.png").unlink()
    for kind in ("target", "input"):
        Path("Spaces", kind, "photo_00.png").rename(Path("Spaces", kind, " a.png"))
    before = sorted(os.listdir())
    ended, out, err = run(capsys, *NEW, *words)
    assert (ended, out) == (code, "") and message in err and err.count("\n") == 1
    assert sorted(os.listdir()) == before


@pytest.mark.slow
def test_every_recipe_for_pairs_gives_a_file_that_is_in_order(capsys):
    for split in ("train", "val"):
        write_pairs(Path("Mine") / split, 2, masks=True)
        Path("Mine", split, "input_mask").symlink_to(Path("Mine", split, "input").resolve())
    tried = 0
    for name in shipped_option_files("train"):
        code, _, err = run(capsys, *NEW, "Mine", "--from", name, "-o", f"{tried}.yml")
        if code == 0:
            assert load_config(f"{tried}.yml").phases("val").keys() == {"val"}
            tried += 1
        else:
            assert any(why in err for why in ("not on pairs", "no such file", "not fetched yet"))
    assert tried > 40
