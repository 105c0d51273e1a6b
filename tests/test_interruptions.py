"""Runs that are cut off at any moment and started again equal those that nobody disturbed."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml

from basicsr.commands.train import main as train
from basicsr.utils.interruption import RESUME_ME

ROOT = Path(__file__).resolve().parents[1]
TIMES = {"time", "step_seconds", "data_seconds", "eta_seconds"}
FAR_APART = 16  # iterations from one kill to the next
pytestmark = pytest.mark.dist


@pytest.fixture
def workplace(paired_set, tmp_path, monkeypatch) -> Path:
    """The current folder, with an option file that uses all that a run has to remember."""
    roots = {"dataroot_gt": "set/target", "dataroot_lq": "set/input", "dataroot_mask": "set/grouped_masks"}
    data = {"type": "PairedImageGroupMaskDataset", **roots, "num_worker_per_gpu": 1}
    options = {
        "name": "run",
        "num_gpu": 0,
        "datasets": {
            "train": {**data, "name": "train", "gt_size": 16, "use_flip": True, "batch_size_per_gpu": 2},
            "val": {**data, "name": "val"},
        },
        "network_g": {
            "type": "SegNAFNet", "width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1], "mask_dropout": 0.5
        },
        "train": {
            "optim_g": {"type": "AdamW", "lr": 1e-3},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 60},
            "total_iter": 60,
            "pixel_opt": {"type": "PSNRLoss"},
            "ema_decay": 0.9,
            "accumulate": 2,
        },
        "val": {"val_freq": 10, "metrics": {"psnr": {"type": "calculate_psnr"}}},
        "logger": {"print_freq": 7, "save_checkpoint_freq": 8},
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("run.yml").write_text(yaml.safe_dump(options))
    return tmp_path


def start(processes: int = 1, *, resume: bool = False, total: int = 60) -> subprocess.Popen[str]:
    """A run of ``total`` iterations."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    program = [*(launcher if processes > 1 else []), str(ROOT / "basicsr/train.py"), "-opt", "run.yml"]
    length = ["--set", f"train.total_iter={total}", f"train.scheduler.T_max={total}"]
    clean = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    return subprocess.Popen(
        [sys.executable, *program, *(["--auto_resume"] if resume else []), *length],
        env=clean | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def said_by(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=300)[0]


def finish(processes: int = 1, *, resume: bool = False, total: int = 60) -> None:
    process = start(processes, resume=resume, total=total)
    said = said_by(process)
    assert process.returncode == 0, said


def events() -> list[dict]:
    """What the run has written, but for times."""
    lines = Path("experiments/run/events.jsonl").read_text().splitlines()
    return [{key: item for key, item in json.loads(line).items() if key not in TIMES} for line in lines]


def results(total: int = 60) -> tuple[dict, dict, list[dict]]:
    """Weights, training state and events of the finished run of ``total`` iterations."""
    paths = (
        Path("experiments/run") / place
        for place in (
            f"models/net_g_{total}.pth",
            "models/net_g_latest.pth",
            f"training_states/{total}.state",
        )
    )
    weights, latest, state = (torch.load(path, weights_only=True) for path in paths)
    for each in (weights, latest):
        del each["basicsr"]
    for window in state["log"]:
        del window["step_seconds"], window["data_seconds"]
    return {"weights": weights, "latest": latest}, state, events()


def assert_same(one: object, other: object, place: str = "") -> None:
    assert type(one) is type(other), place
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), place
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key, item in one.items():
            assert_same(item, other[key], f"{place}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), place
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{place}/{number}")
    else:
        assert one == other, place


def wait_until_reached(iteration: int, process: subprocess.Popen[str]) -> None:
    """Return when the run has written an event of this iteration, or later."""
    file = Path("experiments/run/events.jsonl")
    while not any(int(found) >= iteration for found in re.findall(r'"iter": (\d+),', _text(file))):
        assert process.poll() is None, said_by(process)
        time.sleep(0.005)


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Processes of its session, which is its own."""
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("to_all", [False, True])
def test_a_signal_saves_once_and_the_run_goes_on_as_if_nothing_had_been(workplace, number: int, to_all: bool):
    """Sent to the process alone, or to its workers as well, as Ctrl+C and Slurm do."""
    finish()
    whole = results()
    shutil.move("experiments/run", "experiments/whole")
    process = start()
    wait_until_reached(14, process)
    (os.killpg if to_all else os.kill)(process.pid, number)
    said = said_by(process)
    assert process.returncode == RESUME_ME, said
    assert "Traceback" not in said and f"interrupted by {signal.Signals(number).name}" in said
    assert workers_of(process) == []
    states = {path.stem for path in Path("experiments/run/training_states").iterdir()}
    assert len(states - {"8", "16", "24", "32", "40", "48", "56", "60"}) <= 1
    finish(resume=True)
    assert_same(whole, results())


@pytest.mark.slow
def test_a_start_that_is_cut_off_can_be_started_again(workplace):
    process = start()
    time.sleep(random.Random().uniform(0.3, 3))
    process.terminate()
    said = said_by(process)
    # Before Python hears signals they end it as ever.
    assert process.returncode in (RESUME_ME, -signal.SIGTERM), said
    assert "Traceback" not in said
    finish(resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True])
def test_two_processes_save_when_one_of_them_or_the_launcher_is_asked(workplace, to_all: bool):
    finish(2)
    whole = results()
    shutil.move("experiments/run", "experiments/whole")
    process = start(2)
    wait_until_reached(14, process)
    if to_all:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.terminate()
    said = said_by(process)
    assert "saved, --auto_resume goes on from here" in said
    assert workers_of(process) == []
    assert process.returncode != 0
    finish(2, resume=True)
    assert_same(whole, results())


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("processes", "kills"), [(1, 20), (2, 5)])
def test_kills_at_random_moments_change_nothing(workplace, processes: int, kills: int):
    """Weights, averages, optimizer, random states and events; every fourth kill hits a start."""
    total = 12 + FAR_APART * kills
    finish(processes, total=total)
    whole = results(total)
    shutil.move("experiments/run", "experiments/whole")
    generator = random.Random(processes)
    for turn in range(kills):
        process = start(processes, resume=turn > 0, total=total)
        if turn % 4 < 3:
            wait_until_reached(7 + FAR_APART * turn, process)
            time.sleep(generator.uniform(0, 0.3))
        else:
            time.sleep(generator.uniform(0, 5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(processes, resume=True, total=total)
    assert_same(whole, results(total))


def test_a_kill_changes_nothing(workplace):
    """The short form, in forks of this process, which spares the imports."""
    total = 20
    importlib.import_module("torch._dynamo")  # as optimizers do, for seconds

    def forked(*words: str) -> multiprocessing.Process:
        words = ("-opt", "run.yml", "--set", f"train.total_iter={total}", *words)
        process = multiprocessing.get_context("fork").Process(target=train_alone, args=(words,))
        process.start()
        return process

    whole_run = forked()
    whole_run.join()
    whole = results(total)
    shutil.move("experiments/run", "experiments/whole")
    killed = forked()
    while not Path("experiments/run/training_states/8.state").is_file():
        assert killed.is_alive()
        time.sleep(0.005)
    time.sleep(random.Random().uniform(0, 0.1))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.join()
    forked("--auto_resume").join()
    assert_same(whole, results(total))


def train_alone(words: Sequence[str]) -> None:
    """In a process group of its own, with one thread, and silently."""
    os.setsid()
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    train(words)
