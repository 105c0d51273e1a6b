"""Three systems, a page each, that no line of the package knows: trained, resumed, judged, exported, used.

They are plugins, written against what the package says of networks, losses, metrics, data sets and models.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from basicsr.checkpoints.weights import save_network
from basicsr.commands import export, restore, test, train
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.registry import ARCHS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TINY = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 0, "dec_blk_nums": [1]}
NAFNET = {"type": "NAFNet", **TINY}

SYSTEMS: dict[str, dict[str, Any]] = {
    "two_outputs": {
        "network_g": {"type": "TwoOutputs", "width": 5},
        "losses": {"l_staged": {"type": "StagedLoss", "coarse_weight": 0.25}},
        "trained": ["g"],
    },
    "cascade": {
        "model_type": "CascadeModel",
        "model_opt": {"share": 0.25},
        "network_g": NAFNET,
        "networks": {"second": NAFNET, "judge": {"weights": "judge.pth", "frozen": True}},
        "losses": {"l_pix": None, "l_one": {"type": "L1Loss"}},
        "trained": ["g", "second"],
    },
    "photo_to_clip": {
        "network_g": {"type": "PhotoToClip"},
        "losses": {"l_order": {"type": "EitherOrder"}},
        "metrics": {"clip": {"type": "clip_error"}, "psnr": {"type": "calculate_psnr"}},
        "trained": ["g"],
    },
}
MODULES = {"train": train, "test": test, "restore": restore, "export": export}


@pytest.fixture
def workplace(tmp_path, monkeypatch, own_code) -> Path:
    """The current folder, with pairs and with clips of three frames."""
    generator = np.random.default_rng(0)
    chosen = {}
    for number in range(4):
        name = f"photo_{number}"
        frames = [generator.integers(0, 256, (24, 28, 3), np.uint8) for _ in range(3)]
        for index, frame in enumerate(frames):
            write_png(tmp_path / f"data/frames/{name}_{index}.png", frame)
        chosen[name] = [f"{name}_{index}" for index in range(3)]
        write_png(tmp_path / f"data/target/{name}.png", frames[1])
        write_png(tmp_path / f"data/input/{name}.png", np.mean(frames, 0).astype(np.uint8))
    (tmp_path / "data/clips.json").write_text(json.dumps(chosen))
    torch.manual_seed(1)
    save_network(tmp_path / "judge.pth", ARCHS.build("NAFNet", TINY), None, NAFNET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def option_file(system: str) -> str:
    """Write the option file of a system; returns its path."""
    given = dict(SYSTEMS[system])
    roots: dict[str, Any] = {"type": "PairedImageDataset", "dataroot_gt": "data/target"}
    if system == "photo_to_clip":
        roots = {"type": "PhotoClips", "dataroot_gt": "data/frames", "metadata": "data/clips.json"}
    roots["dataroot_lq"] = "data/input"
    losses = {name: block for name, block in given.pop("losses").items() if block}
    metrics = given.pop("metrics", {"psnr": {"type": "calculate_psnr"}})
    del given["trained"]
    options = {
        "name": system,
        "plugins": [str(HERE / f"{system}.py")],
        "num_gpu": 0,
        "datasets": {
            "train": {
                **roots, "name": "train", "gt_size": 16, "use_flip": True, "use_rot": True,
                "batch_size_per_gpu": 2, "num_worker_per_gpu": 0,
            },
            "val": {**roots, "name": "val", "num_worker_per_gpu": 0},
        },
        "train": {
            "optim_g": {"type": "AdamW", "lr": 1e-3},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 6},
            "total_iter": 6,
            "losses": losses,
            "ema_decay": 0.9,
        },
        "val": {"val_freq": 6, "metrics": metrics},
        "logger": {"print_freq": 1, "save_checkpoint_freq": 3},
        **given,
    }  # fmt: skip
    Path(f"{system}.yml").write_text(yaml.safe_dump(options))
    return f"{system}.yml"


def run(command: str, *words: object) -> None:
    """Run a command in this process; it ends well."""
    MODULES[command].main([str(word) for word in words])


def states(system: str, name: str, iteration: int | str = 6) -> dict[str, Any]:
    """All tensors of the weight files and the training state of an experiment, by where they stand."""
    folder = Path("experiments") / name
    files = [folder / f"models/net_{net}_{iteration}.pth" for net in SYSTEMS[system]["trained"]]
    if isinstance(iteration, int):
        files.append(folder / f"training_states/{iteration}.state")
    found: dict[str, torch.Tensor] = {}

    def collect(place: str, item: Any) -> None:
        if isinstance(item, torch.Tensor):
            found[place] = item
        elif isinstance(item, dict):
            for key, value in item.items():
                collect(f"{place}/{key}", value)
        elif isinstance(item, (list, tuple)):
            for number, value in enumerate(item):
                collect(f"{place}/{number}", value)

    for file in files:
        collect(file.name, torch.load(file, weights_only=True))
    return found


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys() and one
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_of_its_own_is_trained_resumed_judged_and_used(workplace, system: str):
    file = option_file(system)
    run("train", "-opt", file)
    experiment = Path("experiments") / system
    saved = {path.name for path in (experiment / "models").iterdir()}
    assert saved == {f"net_{net}_{at}.pth" for net in SYSTEMS[system]["trained"] for at in (3, 6, "latest")}
    first, *_, last = (json.loads(line) for line in (experiment / "events.jsonl").read_text().splitlines())
    losses = {*SYSTEMS[system]["losses"]} if system != "cascade" else {"l_first", "l_second", "l_seen"}
    assert losses <= first.keys() and last["dataset"] == "val"

    whole = states(system, system)
    for path in [experiment / "training_states/6.state", *experiment.glob("models/*_6.pth")]:
        path.unlink()
    run("train", "-opt", file, "--auto_resume")
    assert_same(whole, states(system, system))

    weights = experiment / "models/net_g_latest.pth"
    run("test", "-opt", file, "--set", f"path.pretrain_network_g={weights}")
    results = Path("results") / system
    means = json.loads((results / "metrics.json").read_text())["val"]["mean"]
    assert all(np.isfinite(value) for value in means.values())
    assert "photo_0" in (results / "report.html").read_text()

    plugin = ["--plugin", HERE / f"{system}.py"]
    run("restore", "-i", "data/input/photo_0.png", "-o", "out/", "--weights", weights, *plugin)
    made = sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*.png"))
    clip = [f"photo_0/{number:04d}.png" for number in (1, 2, 3)]
    assert made == (clip if system == "photo_to_clip" else ["photo_0.png"])
    assert read_rgb(Path("out") / made[0]).shape == (24, 28, 3)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_of_its_own_is_exported(workplace, system: str):
    pytest.importorskip("onnxruntime", reason="ONNX needs the extra `export`")
    file = option_file(system)
    run("train", "-opt", file, "--set", "train.total_iter=1")
    run(
        "export",
        f"experiments/{system}/models/net_g_latest.pth",
        "net.onnx",
        "--plugin",
        HERE / f"{system}.py",
    )
    assert Path("net.onnx").is_file()


def start(file: str, *words: str, processes: int = 1) -> subprocess.Popen[bytes]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    extra = ["--launcher", "pytorch"] if processes > 1 else []
    program = [*(launcher if processes > 1 else []), str(ROOT / "basicsr/train.py")]
    return subprocess.Popen([sys.executable, *program, "-opt", file, *extra, *words])


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.is_file():
        assert process.poll() is None, "it ended before it was stopped"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.dist
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_killed_run_goes_on_bit_for_bit(workplace, system: str, processes: int):
    file = option_file(system)
    assert start(file, processes=processes).wait(240) == 0
    whole = states(system, system)
    shutil.move(f"experiments/{system}", "experiments/whole")
    words = ["--set", "train.total_iter=6", "logger.save_checkpoint_freq=3"]
    killed = start(file, *words, processes=processes)
    wait_for(Path(f"experiments/{system}/training_states/3.state"), killed)
    killed.send_signal(signal.SIGKILL if processes == 1 else signal.SIGTERM)
    killed.wait(60)
    assert start(file, "--auto_resume", processes=processes).wait(240) == 0
    assert_same(whole, states(system, system))
