"""From sharp frames to a clip of a photo: every command of the way, with small networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from basicsr.commands import order_frames, restore, test, train
from basicsr.commands.prepare import clips
from basicsr.utils.image import read_rgb, write_png

QUICK = [
    "num_gpu=0", "train.total_iter=3", "logger.save_checkpoint_freq=3", "datasets.train.num_worker_per_gpu=0",
    "datasets.train.batch_size_total=2",
]  # fmt: skip
STEPS = ["train.scheduler.T_max=3", "train.warmup_iter=-1"]
CROPS = ["datasets.train.gt_size=40"]
WINDOWS = ["datasets.train.transforms=[{type: RandomCrop, size: 40}]"]
ORDERING = ["network_g.out_dim=8", "network_g.width=4", "network_g.num_blocks=1"]
TINY = ["network_g.center_width=8", "network_g.side_width=8"]
TESTED = ["num_gpu=0", "datasets.test.num_worker_per_gpu=0", "val.report=true"]


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """Three clips of seven frames in which a pattern moves."""
    generator = np.random.default_rng(0)
    for clip in ("train/0", "train/1", "test/0"):
        wide = np.kron(generator.integers(0, 256, (6, 14, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        for number in range(7):
            write_png(
                tmp_path / f"datasets/SmallClips/frames/{clip}/{number}.png",
                wide[:, 3 * number : 3 * number + 56],
            )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, *words: object) -> None:
    command.main([str(word) for word in words])


def test_from_sharp_frames_to_the_clip_of_a_photo(workplace):
    run(clips, "datasets/SmallClips/frames", "datasets/SmallClips", "--workers", 1)
    run(train, "-opt", "SmallClips/HyperCUT", "--set", *QUICK, *STEPS, *WINDOWS, *ORDERING)
    ordering = "experiments/SmallClips-HyperCUT/models/net_g_latest.pth"
    run(test, "-opt", "SmallClips/HyperCUT", "--set", *TESTED, *ORDERING)
    means = json.loads(Path("results/SmallClips-HyperCUT/metrics.json").read_text())["SmallClips"]["mean"]
    assert {"hit", "con_2", "con_3", "hit_coin", "con_3_constant", "hit_brightness"} <= means.keys()
    assert (means["hit_constant"], means["con_3_constant"]) == (0, 1)
    meta = Path("datasets/SmallClips")
    run(order_frames, meta / "metadata.json", meta / "metadata_ordered.json", "--weights", ordering)

    run(train, "-opt", "SmallClips/Jin-hypercut", "--set", *QUICK, *STEPS, *CROPS, *TINY)
    weights = "experiments/SmallClips-Jin-hypercut/models/net_g_latest.pth"
    assert [path.name for path in Path(weights).parent.glob("net_*")].count("net_ordering_latest.pth") == 0
    run(test, "-opt", "SmallClips/Jin-hypercut", "--set", *TESTED, *TINY)
    results = Path("results/SmallClips-Jin-hypercut")
    (image,) = json.loads((results / "metrics.json").read_text())["SmallClips"]["images"]
    assert len(image["ppsnr"]) == 7 and len(image["flow_error"]) == 6 and image["con_3"] in (0, 1)
    assert '"gt_frames"' in (results / "report.html").read_text()

    photo = next(meta.glob("train/0/blur/*.png"))
    run(restore, "-i", photo, "-o", "clip.gif", "--frames", 7, "--weights", weights, "--device", "cpu")
    assert Path("clip.gif").stat().st_size > 0
    run(restore, "-i", photo, "-o", "out/", "--frames", 3, "--weights", weights, "--device", "cpu")
    frames = sorted(Path("out/0000").iterdir())
    assert [path.name for path in frames] == ["0001.png", "0002.png", "0003.png"]
    assert read_rgb(frames[0]).shape == (48, 56, 3)
