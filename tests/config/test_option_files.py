"""The shipped option files: they load, and say what the paper says."""

from __future__ import annotations

from pathlib import Path

import pytest

from basicsr.checkpoints.weights import load_network
from basicsr.config.load import dump_config, load_config
from basicsr.config.schema import effective_options
from basicsr.data.loader import batch_size_of_one
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import ARCHS
from basicsr.utils.shipped import weight_file

ROOT = Path(__file__).resolve().parents[2]
ROWS = ("NAFNet", "MaskNAFNet", "SegNAFNet-MAP", "SegNAFNet")
SETS = {
    "train": ("Demo", "Small", "GoPro", "Full"),
    "test": ("Demo", "Small", "GoPro", "REDS", "RealBlurJ", "ReLoBlur"),
}
FOLDERS = [f"{command}/{name}" for command, names in SETS.items() for name in names]
# Test files that take weights that come with the package, which no training file makes.
SHIPPED = {"Demo/NAFNet": "NAFNet", "Demo/SegNAFNet-MAP": "SegNAFNet", "Demo/SegNAFNet": "SegNAFNet"}
FILES = [f"{folder}/{row}.yml" for folder in FOLDERS for row in ROWS]
FOUND = sorted(path.relative_to(ROOT / "options").as_posix() for path in ROOT.glob("options/t*/**/*.yml"))


def flat(options, where=""):
    """Nested options as ``{"train.optim_g.lr": 0.001, ..}``."""
    if not isinstance(options, dict):
        return {where: options}
    return {
        key: value
        for name, item in options.items()
        for key, value in flat(item, f"{where}.{name}".lstrip(".")).items()
    }


def differences(left, right):
    """Keys whose values differ, other than those of the weights to start from."""
    left, right = flat(effective_options(left)), flat(effective_options(right))
    differ = {key for key in left | right if left.get(key, "absent") != right.get(key, "absent")}
    return differ - {"path.pretrain_network_g", "path.strict_load_g"}


def test_every_set_has_the_four_rows_of_the_paper():
    assert {*FILES} <= {*FOUND}


@pytest.mark.parametrize("name", FOUND)
def test_loads_once_its_paths_exist_and_its_dump_is_an_equal_run(name, load_shipped, tmp_path):
    config = load_shipped(name)
    command = name.split("/")[0]
    dumped = tmp_path / "config.yml"
    dumped.write_text(dump_config(config), encoding="utf-8")
    again = load_config(dumped, command=command)
    assert effective_options(again) == effective_options(config)
    dumped.write_text(dump_config(again), encoding="utf-8")
    assert load_config(dumped, command=command) == again
    assert config.phases(command)


@pytest.mark.parametrize("folder", FOLDERS)
def test_rows_differ_only_in_network_masks_and_name(folder, load_shipped):
    rows = {row: load_shipped(f"{folder}/{row}.yml") for row in ROWS}
    phases = rows["NAFNet"].datasets
    types = {f"datasets.{phase}.type" for phase in phases}
    masks = {f"datasets.{phase}.dataroot_mask" for phase in phases}
    assert differences(rows["NAFNet"], rows["MaskNAFNet"]) == {"name", *types, *masks, "network_g.mask"}
    assert differences(rows["SegNAFNet"], rows["SegNAFNet-MAP"]) == {"name", "network_g.mask_dropout"}
    networks = (ARCHS.options(rows[row].network_g.type) for row in ("NAFNet", "SegNAFNet"))
    in_one_only = {f"network_g.{key}" for key in set(next(networks)) ^ set(next(networks))}
    assert {"network_g.seg_channel", "network_g.mask_dropout", "network_g.mask"} <= in_one_only
    assert differences(rows["NAFNet"], rows["SegNAFNet"]) == {
        "name", *types, *masks, *in_one_only, "network_g.type", "grouped_masks",
    }  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", SETS["test"])
def test_test_file_reads_the_weights_and_the_network_of_its_training_file(name, row, load_shipped):
    tested = load_shipped(f"test/{name}/{row}.yml")
    trained = load_shipped(f"train/{name if name in SETS['train'] else 'GoPro'}/{row}.yml")
    own = f"experiments/{trained.name}/models/net_g_latest.pth"
    assert tested.path.pretrain_network_g == SHIPPED.get(f"{name}/{row}", own)
    assert tested.network_g.options == trained.network_g.options
    assert tested.network_g.type.removesuffix("Local") == trained.network_g.type.removesuffix("Local")
    assert trained.datasets["val"].type == tested.datasets["test"].type
    assert (tested.name, trained.name) == (
        f"{name}-{row}",
        trained.datasets["val"].name.split("-")[0] + f"-{row}",
    )
    assert set(tested.val.metrics) >= {"psnr", "ssim", "mcr"}


@pytest.mark.parametrize("row", ROWS)
def test_demo_files_describe_the_network_whose_weights_they_take(row, load_shipped):
    for command in ("train", "test"):
        config = load_shipped(f"{command}/Demo/{row}.yml")
        net = config.network_g.build()
        if command == "train" or row != "MaskNAFNet":
            weights = weight_file(config.path.pretrain_network_g)
            output = load_network(net, weights, config.path.strict_load_g)
            assert ("not strict" in output) == (row == "MaskNAFNet")


def test_gopro_recipe_is_the_published_one(load_shipped):
    config = load_shipped("train/GoPro/SegNAFNet.yml")
    plain = flat(effective_options(config))
    assert config.num_gpu * config.datasets["train"].batch_size_per_gpu == 32
    published = {
        "train.total_iter": 200_000,
        "train.optim_g.type": "AdamW",
        "train.optim_g.betas": [0.9, 0.9],
        "train.pixel_opt.type": "PSNRLoss",
        "train.scheduler.T_max": 200_000,
        "datasets.train.gt_size": 256,
        "datasets.train.use_flip": True,
        "datasets.train.use_rot": True,
        "network_g.width": 32,
        "network_g.enc_blk_nums": [1, 1, 1, 28],
        "network_g.middle_blk_num": 1,
        "network_g.dec_blk_nums": [1, 1, 1, 1],
        "network_g.mask_dropout": 0.5,
    }
    assert {key: plain[key] for key in published} == published
    rates = {"train.optim_g.lr": 1e-3, "train.optim_g.weight_decay": 1e-3, "train.scheduler.eta_min": 1e-7}
    assert {key: float(plain[key]) for key in rates} == rates


@pytest.mark.parametrize("row", ROWS)
def test_full_is_the_gopro_recipe_with_its_batch_on_any_number_of_processes(row, load_shipped):
    gopro, full = (load_shipped(f"train/{name}/{row}.yml") for name in ("GoPro", "Full"))
    batch = {"datasets.train.batch_size_per_gpu", "datasets.train.batch_size_total"}
    assert differences(gopro, full) == {"name", "num_gpu", *batch}
    assert (full.network_g.options["width"], full.train.total_iter) == (32, 200_000)
    train = full.datasets["train"]
    assert train.options["gt_size"] == 256
    assert full.num_gpu == "auto", "any number of processes is meant"
    for processes in (1, 2, 4, 8):
        assert processes * batch_size_of_one(train, processes, full.train.accumulate) == 32


def test_without_the_data_every_missing_folder_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError) as caught:
        load_config(ROOT / "options/train/GoPro/SegNAFNet.yml")
    data = "datasets/GoPro"
    assert caught.value.mistakes == [
        f"datasets.{key}: no such folder (got '{data}/{folder}')"
        for key, folder in {
            "train.dataroot_gt": "train/sharp_crops",
            "train.dataroot_lq": "train/blur_crops",
            "train.dataroot_mask": "train/grouped_masks_crops",
            "val.dataroot_gt": "test/target",
            "val.dataroot_lq": "test/input",
            "val.dataroot_mask": "test/grouped_masks",
        }.items()
    ]


def test_recipes_of_maxim_train_all_stages_at_all_scales(load_shipped):
    for name, stages in (("GoPro", 3), ("Rain13k", 2), ("SIDD", 3), ("Mine", 3)):
        config = load_shipped(f"train/{name}/MAXIM.yml")
        net = config.network_g.build()
        assert len(net.unets) == stages and net.unets[0].inputs[0].out_channels == 32
        assert config.datasets["train"].options["gt_size"] == 256
        assert [loss.type for loss in config.train.all_losses.values()] == [
            "MultiStageCharbonnierLoss",
            "MultiStageFrequencyLoss",
        ]
        if name != "Mine":
            assert float(config.train.optim_g.options["lr"]) == 2e-4 and config.train.mixup
            assert float(config.train.scheduler.options["eta_min"]) == 1e-7
