"""Label maps that follow the network: which epoch sees which, and what a resumed run does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from basicsr.commands import train
from basicsr.data import PairedImageRefreshedMaskDataset
from basicsr.data.paired import SampleIndex
from basicsr.engine.build import with_epochs
from basicsr.masks import write_label_map
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png

NAFNET = {"type": "NAFNet", "width": 4, "enc_blk_nums": [1], "middle_blk_num": 0, "dec_blk_nums": [1]}
GRAPH = {"type": "Graph"}


@pytest.fixture
def pairs(tmp_path, monkeypatch) -> Path:
    """Four pairs, with one region each."""
    rng = np.random.default_rng(0)
    for number in range(4):
        blocks = rng.integers(0, 256, (3, 3, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        for folder in ("target", "input"):
            write_png(tmp_path / folder / f"{number}.png", blocks)
        write_label_map(tmp_path / f"masks/{number}.png", np.ones((24, 24), np.int32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dataset(**options) -> PairedImageRefreshedMaskDataset:
    given = {"dataroot_gt": "target", "dataroot_lq": "input", "dataroot_mask": "masks", "refresh_every": 2}
    return PairedImageRefreshedMaskDataset(
        **given, dataroot_refreshed="refreshed", segmenter=GRAPH, train=True, **options
    )


def test_begin_is_called_once_an_epoch_before_its_first_sample():
    """Batches of 3 samples, epochs of 4: the second batch has a sample of the second epoch."""
    seen: list[object] = []
    stream = with_epochs(iter("abcd"), lambda epoch, midway: seen.append((epoch, midway)), 3, 4, 0)
    for _ in range(4):
        seen.append(next(stream))
    assert seen == [(0, False), "a", (1, False), "b", (2, False), "c", "d"]


@pytest.mark.parametrize(("start", "expected"), [(6, [(1, True), (2, False)]), (8, [(2, False)])])
def test_a_resumed_run_begins_in_the_middle(start: int, expected):
    seen: list[object] = []
    next(with_epochs(iter("a"), lambda epoch, midway: seen.append((epoch, midway)), 3, 4, start))
    assert seen == expected


def test_the_first_epochs_have_the_given_maps_and_later_ones_those_of_the_restored_image(pairs):
    data = dataset()
    assert (data[SampleIndex(0, 1)]["labels"] == 1).all()
    for epoch in (0, 1):
        data.begin_epoch(epoch, False, lambda image: image, Ranks())
    assert not Path("refreshed").exists()
    data.begin_epoch(2, False, lambda image: image, Ranks())
    assert sorted(path.name for path in Path("refreshed/2").iterdir()) == [
        "0.png", "1.png", "2.png", "3.png", "complete",
    ]  # fmt: skip
    for epoch in (2, 3):
        assert data[SampleIndex(0, epoch)]["labels"].unique().numel() > 1
    data.begin_epoch(4, False, torch.zeros_like, Ranks())
    assert data[SampleIndex(0, 5)]["labels"].unique().numel() == 1, "a black image has no parts"


def test_what_is_there_is_not_made_again_and_what_is_gone_is_told(pairs):
    data = dataset()
    data.begin_epoch(2, False, lambda image: image, Ranks())
    data.begin_epoch(3, True, torch.zeros_like, Ranks())
    assert data[SampleIndex(0, 3)]["labels"].unique().numel() > 1
    shutil.rmtree("refreshed/2")
    with pytest.raises(UserError, match=r"refreshed.2: the label maps of epoch 2 no longer exist"):
        data.begin_epoch(3, False, torch.zeros_like, Ranks())


def options(name: str, workers: int) -> str:
    """Epochs of two steps; masks are made anew before steps 5 and 9."""
    roots = {"dataroot_gt": "target", "dataroot_lq": "input"}
    block = {
        "name": name,
        "model_type": "SemanticDistillationModel",
        "model_opt": {"spd": {"type": "SmoothL1Loss"}, "probe_steps": 3},
        "num_gpu": 0,
        "network_g": NAFNET,
        "networks": {"second": {"type": "WithSPF", "net": NAFNET, "regions": 3, "prior_channels": 4}},
        "datasets": {
            "train": {
                "type": "PairedImageRefreshedMaskDataset", "name": "train", **roots, "gt_size": 16,
                "use_flip": True, "dataroot_mask": "masks", "segmenter": GRAPH, "refresh_every": 2,
                "dataroot_refreshed": f"experiments/{name}/masks", "batch_size_per_gpu": 2,
                "num_worker_per_gpu": workers,
            },
        },
        "train": {
            "optim_g": {"type": "AdamW", "lr": 1e-2},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 10},
            "total_iter": 10,
            "pixel_opt": {"type": "L1Loss"},
        },
        "logger": {"print_freq": 1, "save_checkpoint_freq": 1},
    }  # fmt: skip
    Path(f"{name}.yml").write_text(yaml.safe_dump(block))
    return f"{name}.yml"


def losses(name: str) -> dict[int, dict[str, float]]:
    lines = Path(f"experiments/{name}/events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    wanted = ("l_pix", "second_l_pix", "l_spd", "l_spd_weight")
    return {event["iter"]: {key: event[key] for key in wanted} for event in events}


@pytest.mark.parametrize(("workers", "cut"), [(0, 3), (0, 6)])
def test_a_resumed_run_sees_the_masks_that_the_whole_one_saw(pairs, workers: int, cut: int):
    """Cut off before, and after, masks were made anew."""
    train.main(["-opt", options("whole", workers)])
    assert {path.name for path in Path("experiments/whole/masks").iterdir()} == {"2", "4"}
    file = options("cut", workers)
    train.main(["-opt", file, "--set", f"train.total_iter={cut}"])
    train.main(["-opt", file, "--auto_resume"])
    assert losses("cut") == losses("whole")


def test_workers_that_read_ahead_wait_for_the_masks(pairs):
    train.main(["-opt", options("alone", 0)])
    train.main(["-opt", options("workers", 2)])
    assert losses("workers") == losses("alone")
