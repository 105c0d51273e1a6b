"""Runs that are cut off at any moment and started again equal those that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from basicsr.utils.interruption import RESUME_ME

ROOT = Path(__file__).resolve().parents[1]
TIMES = {"time", "step_seconds", "data_seconds", "eta_seconds"}
pytestmark = [pytest.mark.slow, pytest.mark.dist]


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


def start(
    processes: int = 1,
    *more: str,
    resume: bool = False,
    restarts: int = 0,
    slurm: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    launcher += [f"--max-restarts={restarts}"]
    program = [*(launcher if processes > 1 else []), str(ROOT / "basicsr/train.py"), "-opt", "run.yml"]
    clean = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    return subprocess.Popen(
        [sys.executable, *program, *more, *(["--auto_resume"] if resume else [])],
        env=clean | {"OMP_NUM_THREADS": "1"} | (slurm or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def said_by(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=280)[0]


def finish(processes: int = 1, *, resume: bool = False) -> None:
    process = start(processes, resume=resume)
    said = said_by(process)
    assert process.returncode == 0, said


def events() -> list[dict]:
    """What the run has written, but for times."""
    lines = Path("experiments/run/events.jsonl").read_text().splitlines()
    return [{key: item for key, item in json.loads(line).items() if key not in TIMES} for line in lines]


def results() -> tuple[dict, dict, list[dict]]:
    """Weights, training state and events of the finished run."""
    paths = (
        Path("experiments/run") / place
        for place in ("models/net_g_60.pth", "models/net_g_latest.pth", "training_states/60.state")
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
    while not any(f'"iter": {number},' in _text(file) for number in range(iteration, 61)):
        assert process.poll() is None, said_by(process)
        time.sleep(0.005)


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


def children_of(process: subprocess.Popen[str]) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Processes of its session, which is its own."""
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


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


def test_a_start_that_is_cut_off_can_be_started_again(workplace):
    process = start()
    time.sleep(random.Random().uniform(0.3, 3))
    process.terminate()
    said = said_by(process)
    # Before Python hears signals they end it as ever.
    assert process.returncode in (RESUME_ME, -signal.SIGTERM), said
    assert "Traceback" not in said
    finish(resume=True)


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


@pytest.mark.parametrize("processes", [1, 2])
def test_kills_at_random_moments_change_nothing(workplace, processes: int):
    """Weights, averages, optimiser, random states and events; three times in a row."""
    finish(processes)
    whole = results()
    shutil.move("experiments/run", "experiments/whole")
    generator = random.Random(processes)
    for turn in range(3):
        process = start(processes, resume=turn > 0)
        wait_until_reached(7 + 16 * turn, process)
        time.sleep(generator.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(processes, resume=True)
    assert_same(whole, results())


@pytest.mark.parametrize("killed", [0, 1])
def test_torchrun_restarts_a_run_that_then_goes_on_by_itself(workplace, killed: int):
    """Without --auto_resume, which at the first start would go on with whatever is there."""
    finish(2)
    whole = results()
    shutil.move("experiments/run", "experiments/whole")
    process = start(2, restarts=1)
    wait_until_reached(21, process)
    os.kill(sorted(children_of(process))[killed], signal.SIGKILL)
    said = said_by(process)
    assert process.returncode == 0, said
    assert "ended without a word, most likely killed" in said and "resuming from" in said
    assert_same(whole, results())


def test_torchrun_does_not_go_on_with_an_experiment_of_another_start(workplace):
    finish(2)
    before = results()
    process = start(2, restarts=1)
    said = said_by(process)
    assert process.returncode != 0
    assert "name: the experiment experiments/run exists already" in said and "resuming from" not in said
    assert_same(before, results())


def test_a_job_that_slurm_requeues_goes_on_by_itself(workplace):
    finish()
    whole = results()
    shutil.move("experiments/run", "experiments/whole")
    with socket.create_server(("", 0)) as server:
        port = str(server.getsockname()[1])
    job = {
        "SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0",
        "SLURM_NODELIST": "localhost", "MASTER_PORT": port,
    }  # fmt: skip
    process = start(1, "--launcher", "slurm", slurm=job)
    wait_until_reached(21, process)
    process.kill()
    process.communicate()
    again = start(1, "--launcher", "slurm", slurm=job | {"SLURM_RESTART_COUNT": "1"})
    said = said_by(again)
    assert again.returncode == 0, said
    assert "resuming from" in said
    assert_same(whole, results())
