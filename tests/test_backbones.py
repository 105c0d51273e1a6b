"""The option files of the reduced networks on little data: one process and two train alike."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from basicsr.masks import write_label_map
from basicsr.utils.image import write_png

ROOT = Path(__file__).resolve().parents[1]
BLUR = ("EfficientDerain", "MIMOUNet", "MSResNet", "NAFNet-distilled", "SRN", "Uformer")
RAIN = ("EfficientDerain", "EfficientDerain-distilled", "MIMOUNet", "RCDNet", "Uformer")
# Each process has its own random depth and order of regions, and its own statistics of a batch.
DISTILLED = [
    "networks.second.permute=false", "model_opt.probe_steps=1", "model_opt.sgr.vgg_weights=weights/vgg.pth",
    "model_opt.sgr.vgg_type=vgg11", "model_opt.sgr.layer=relu2_1",
]  # fmt: skip
OF_THEIR_OWN = {
    "Uformer": ["network_g.drop_path=0"],
    "NAFNet-distilled": DISTILLED,
    "EfficientDerain-distilled": DISTILLED,
}
BATCH_NORM = ("RCDNet",)
# Two halves of a batch add up in another order than the whole; of the sums in a step, float32 keeps this.
FLOAT32 = 1e-4


@pytest.fixture
def data(tmp_path, monkeypatch, run_script) -> Path:
    """Four photos, and as many pairs, as `docs/networks.md` lays them out, with label maps and a VGG."""
    words = ["--vgg_type", "vgg11", "--layer", "relu2_1"]
    assert run_script("random_vgg.py", tmp_path / "weights/vgg.pth", *words).returncode == 0
    rows, columns = np.mgrid[:6, :6]
    labels = (1 + rows // 2 * 3 + columns // 2).astype(np.int32).repeat(8, 0).repeat(8, 1)
    rng = np.random.default_rng(0)
    for number in range(4):
        sharp = rng.integers(0, 256, (6, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        blurred = (sharp.astype(int) + np.roll(sharp, 3, 1)) // 2
        for split in ("train", "test"):
            write_png(tmp_path / f"datasets/MadeBlur/{split}/target/{number}.png", sharp)
            write_png(tmp_path / f"datasets/MadeBlur/{split}/input/{number}.png", blurred.astype(np.uint8))
            write_png(tmp_path / f"datasets/MadeRain/{split}/{number}.png", sharp)
        for folder in ("MadeBlur/train/grouped_masks", "MadeRain/train_masks"):
            write_label_map(tmp_path / f"datasets/{folder}/{number}.png", labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(group: str, network: str, processes: int) -> list[dict[str, float]]:
    """Train for two steps of four samples in all; returns what was logged."""
    name = f"{network}-{processes}"
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    program = [*(launcher if processes > 1 else []), str(ROOT / "basicsr/train.py")]
    extra = ["--launcher", "pytorch"] if processes > 1 else []
    changes = [
        f"name={name}", "num_gpu=0", "train.total_iter=2", "train.warmup_iter=-1", "train.ema_decay=0",
        "datasets.train.gt_size=32", "datasets.train.batch_size_per_gpu=null",
        "datasets.train.batch_size_total=4", "datasets.train.num_worker_per_gpu=0", "datasets.val=null",
        "logger.print_freq=1", "train.channels_last=false", *OF_THEIR_OWN.get(network, []),
    ]  # fmt: skip
    file = f"{ROOT}/options/train/{group}/{network}.yml"
    command = [sys.executable, *program, "-opt", file, *extra, "--set", *changes]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    lines = Path(f"experiments/{name}/events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.dist
@pytest.mark.parametrize(
    ("group", "network"),
    [*(("MadeBlur", name) for name in BLUR), *(("MadeRain", name) for name in RAIN)],
)
def test_one_process_and_two_train_alike(data, group: str, network: str):
    alone, together = (train(group, network, processes) for processes in (1, 2))
    assert len(alone) == len(together) == 2
    for one, two in zip(alone, together, strict=True):
        assert math.isfinite(one["loss"]) and math.isfinite(two["loss"])
        if network not in BATCH_NORM:
            for name in (name for name in one if name == "loss" or name.startswith(("l_", "second_l_"))):
                assert two[name] == pytest.approx(one[name], rel=FLOAT32, abs=FLOAT32), name
        if network.endswith("-distilled"):
            assert one["l_spd"] > 0 and one["l_sgr"] > 0
