"""Orders of clips: decided on stored frames, written once, changed by no second run."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch

from basicsr.archs.hypercut import HyperCUTNet
from basicsr.archs.nafnet import NAFNet
from basicsr.checkpoints.weights import save_network
from basicsr.data.clip_metadata import Clip, ClipMetadata, read_clip_metadata
from basicsr.preparation.clips.order import OrderJob, order_frames
from basicsr.preparation.layouts.make_lmdb import make_lmdb
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png

TINY = {"out_dim": 4, "width": 4, "num_blocks": 1}


def brightness_network(path) -> None:
    """Says how much brighter the first frame of a pair is than the last."""
    net = HyperCUTNet(**TINY, compat="mended")
    state = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
    for index in (1, 3, 5, 7, 9, 11):
        weight = state[f"f_func.model.{index}.weight"]
        middle = weight.shape[-1] // 2
        weight[0, 0, middle, middle] = 1
        weight[1, 3 if index == 1 else 1, middle, middle] = 1
    state["hyperplane.hyperplane"] = torch.tensor([1.0, -1, 0, 0, 0])
    net.load_state_dict(state)
    save_network(path, net, None, {"type": "HyperCUTNet", **TINY, "compat": "mended"})


@pytest.fixture
def job(tmp_path) -> OrderJob:
    """Clips that get darker, brighter, and both; each with an order that says nothing."""
    levels = {"dark": [200, 150, 100, 50], "bright": [50, 100, 150, 200], "both": [50, 200, 150, 100]}
    clips = []
    for name, light in levels.items():
        for number, value in enumerate(light, 1):
            write_png(tmp_path / f"set/{name}/sharp/0000_{number}.png", np.full((40, 40, 3), value, np.uint8))
        write_png(tmp_path / f"set/{name}/blur/0000.png", np.full((40, 40, 3), 125, np.uint8))
        paths = tuple(f"{name}/sharp/0000_{number}.png" for number in range(1, 5))
        partition = "test" if name == "both" else "train"
        clips.append(Clip(f"{name}/0000", "random", partition, f"{name}/blur/0000.png", paths))
    ClipMetadata("set", 4, clips).write(tmp_path / "set/metadata.json")
    brightness_network(tmp_path / "net.pth")
    return OrderJob(tmp_path / "set/metadata.json", tmp_path / "set/ordered.json", tmp_path / "net.pth")


def orders(path) -> dict[str, str]:
    return {clip.id: clip.order for clip in read_clip_metadata(path).clips}


def test_the_brighter_side_is_canonical_here(job):
    counts = order_frames(job)
    assert orders(job.output) == {"dark/0000": "keep", "bright/0000": "reverse", "both/0000": "ignore"}
    assert dict(counts) == {"keep": 1, "reverse": 1, "ignore": 1}
    rows = list(csv.DictReader((job.output.parent / "ordered.json.scores.csv").open()))
    assert [row["order"] for row in rows] == ["keep", "reverse", "ignore"]
    assert [float(rows[0][f"pair_{pair}"]) for pair in (1, 2)] == pytest.approx(
        [150 / 255, 50 / 255], rel=1e-4
    )


def test_running_it_twice_changes_nothing(job):
    order_frames(job)
    files = [job.output, job.output.parent / "ordered.json.scores.csv"]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    order_frames(job)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before
    again = dataclasses.replace(job, metadata=job.output, output=job.output.parent / "twice.json")
    order_frames(again)
    assert orders(again.output) == orders(job.output), "orders of the input are not looked at"


def test_frames_may_lie_in_an_lmdb(job, tmp_path):
    make_lmdb(job.metadata.parent, tmp_path / "set.lmdb", workers=1)
    packed = dataclasses.replace(job, root=tmp_path / "set.lmdb", output=tmp_path / "packed.json")
    assert order_frames(packed) == order_frames(job)
    assert orders(packed.output) == orders(job.output)


def test_a_dry_run_writes_nothing(job):
    before = sorted(job.output.parent.rglob("*"))
    assert order_frames(dataclasses.replace(job, dry_run=True))["keep"] == 1
    assert sorted(job.output.parent.rglob("*")) == before


def test_an_output_that_says_something_else_is_kept(job):
    job.output.write_bytes(job.metadata.read_bytes())
    with pytest.raises(UserError, match=r"ordered\.json: exists already .*--overwrite"):
        order_frames(job)
    order_frames(dataclasses.replace(job, overwrite=True))
    assert orders(job.output)["bright/0000"] == "reverse"


def test_weights_of_another_network_are_refused(job, tmp_path):
    block = {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]}
    save_network(tmp_path / "naf.pth", NAFNet(**block), None, {"type": "NAFNet", **block})
    with pytest.raises(UserError, match=r"naf\.pth: NAFNet is not an ordering network"):
        order_frames(dataclasses.replace(job, weights=tmp_path / "naf.pth"))


def test_the_command(job, run_script):
    words = [job.metadata, job.output, "--weights", job.weights, "--device", "cpu"]
    assert run_script("data_preparation/order_frames.py", *words, "--dry-run").returncode == 0
    assert not job.output.exists()
    done = run_script("data_preparation/order_frames.py", *words)
    assert done.returncode == 0 and "1 keep, 1 reverse, 1 ignore" in done.stdout + done.stderr
    assert json.loads(job.output.read_text())["frame_per_seq"] == 4
