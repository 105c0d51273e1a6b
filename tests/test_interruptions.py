"""Runs that are cut off at any moment and started again equal those that nobody disturbed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
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


@pytest.fixture
def distillation(request, workplace, run_script) -> Path:
    """Distillation with label maps that are made anew before steps 16, 31 and 46; returns their folder.

    The parameter of the fixture is whether both networks share their weights.
    """
    layer = {"vgg_type": "vgg11", "layer": "relu1_1"}
    words = (word for name, value in layer.items() for word in (f"--{name}", value))
    assert run_script("random_vgg.py", "weights/vgg.pth", *words).returncode == 0
    options = yaml.safe_load(Path("run.yml").read_text())
    net = {"type": "NAFNet", "width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]}
    masks = Path("experiments/run/masks")
    relation = {"type": "SemanticRelationLoss", "vgg_weights": "weights/vgg.pth", **layer}
    options |= {
        "model_type": "SemanticDistillationModel",
        "model_opt": {"spd": {"type": "SmoothL1Loss"}, "sgr": relation, "share_weights": request.param},
        "network_g": net,
        "networks": {"second": {"type": "WithSPF", "net": net, "regions": 3, "prior_channels": 4}},
    }
    options["train"]["accumulate"] = 1
    options["datasets"]["train"] |= {
        "type": "PairedImageRefreshedMaskDataset", "dataroot_refreshed": str(masks), "refresh_every": 5,
        "segmenter": {"type": "Graph", "min_size": 20}, "batch_size_per_gpu": None, "batch_size_total": 2,
    }  # fmt: skip
    del options["datasets"]["val"]
    Path("run.yml").write_text(yaml.safe_dump(options))
    return masks


def start(
    processes: int = 1,
    *more: str,
    resume: bool = False,
    restarts: int = 0,
    slurm: dict[str, str] | None = None,
    total: int = 60,
) -> subprocess.Popen[str]:
    """A run of ``total`` iterations."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    launcher += [f"--max-restarts={restarts}"]
    program = [*(launcher if processes > 1 else []), str(ROOT / "basicsr/train.py"), "-opt", "run.yml"]
    length = ["--set", f"train.total_iter={total}", f"train.scheduler.T_max={total}"]
    clean = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    return subprocess.Popen(
        [sys.executable, *program, *more, *(["--auto_resume"] if resume else []), *length],
        env=clean | {"OMP_NUM_THREADS": "1"} | (slurm or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=300)[0]


def finish(processes: int = 1, *, resume: bool = False, total: int = 60) -> None:
    process = start(processes, resume=resume, total=total)
    output = output_of(process)
    assert process.returncode == 0, output


def events() -> list[dict]:
    """What the run has written, but for times."""
    lines = Path("experiments/run/events.jsonl").read_text().splitlines()
    return [{key: item for key, item in json.loads(line).items() if key not in TIMES} for line in lines]


def results(total: int = 60) -> tuple[dict, dict, list[dict]]:
    """Weights of all networks, training state and events of the finished run of ``total`` iterations."""
    folder = Path("experiments/run")
    ends = (str(total), "latest")
    paths = [path for which in ends for path in sorted(folder.glob(f"models/net_*_{which}.pth"))]
    weights = {path.stem: torch.load(path, weights_only=True) for path in paths}
    for each in weights.values():
        del each["basicsr"]
    state = torch.load(folder / f"training_states/{total}.state", weights_only=True)
    for window in state["log"]:
        del window["step_seconds"], window["data_seconds"]
    return weights, state, events()


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


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL for a process and all that came of it: torchrun starts its workers in sessions of their own."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    family = [process.pid]
    for member in family:
        family += [pid for pid, parent in parents if parent == member]
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def wait_until_reached(iteration: int, process: subprocess.Popen[str]) -> None:
    """Return when the run has written an event of this iteration, or later."""
    file = Path("experiments/run/events.jsonl")
    while not any(int(found) >= iteration for found in re.findall(r'"iter": (\d+),', _text(file))):
        assert process.poll() is None, output_of(process)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to_all"),
    [
        (signal.SIGTERM, False),
        (signal.SIGINT, True),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in [
                (signal.SIGTERM, True),
                (signal.SIGINT, False),
                (signal.SIGUSR1, False),
                (signal.SIGUSR1, True),
            ]
        ),
    ],
)
def test_a_signal_saves_once_and_the_run_goes_on_as_if_nothing_had_been(workplace, number: int, to_all: bool):
    """Sent to the process alone, or to its workers as well, as Ctrl+C and Slurm do."""
    finish()
    whole = results()
    shutil.move("experiments/run", "experiments/whole")
    process = start()
    wait_until_reached(14, process)
    (os.killpg if to_all else os.kill)(process.pid, number)
    output = output_of(process)
    assert process.returncode == RESUME_ME, output
    assert "Traceback" not in output and f"interrupted by {signal.Signals(number).name}" in output
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
    output = output_of(process)
    # Before Python hears signals they end it as ever.
    assert process.returncode in (RESUME_ME, -signal.SIGTERM), output
    assert "Traceback" not in output
    finish(resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, pytest.param(True, marks=pytest.mark.long)])
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
    output = output_of(process)
    assert "saved, --auto_resume continues from here" in output
    assert workers_of(process) == []
    assert process.returncode != 0
    finish(2, resume=True)
    assert_same(whole, results())


@pytest.mark.slow
@pytest.mark.long
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
        kill(process)
    finish(processes, resume=True, total=total)
    assert_same(whole, results(total))


def test_a_kill_changes_nothing(workplace):
    """The short form, in forks of a server, which has imported all that takes long."""
    total = 20
    # Forks of this process would inherit the autograd threads of the tests before, which PyTorch refuses.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # the second as optimizers do, for seconds

    def forked(*words: str) -> multiprocessing.Process:
        words = ("-opt", "run.yml", "--set", f"train.total_iter={total}", *words)
        process = context.Process(target=train_alone, args=(words,))
        process.start()
        return process

    whole_run = forked()
    whole_run.join()
    assert whole_run.exitcode == 0
    whole = results(total)
    shutil.move("experiments/run", "experiments/whole")
    killed = forked()
    while not Path("experiments/run/training_states/8.state").is_file():
        assert killed.is_alive()
        time.sleep(0.005)
    time.sleep(random.Random().uniform(0, 0.1))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.join()
    resumed = forked("--auto_resume")
    resumed.join()
    assert resumed.exitcode == 0
    assert_same(whole, results(total))


def train_alone(words: Sequence[str]) -> None:
    """In a process group of its own, with one thread, and silently."""
    os.setsid()
    torch.set_num_threads(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    train(words)


def maps_of(masks: Path) -> dict[str, bytes]:
    """All label maps that were made while training, by epoch and name."""
    return {path.relative_to(masks).as_posix(): path.read_bytes() for path in masks.rglob("*.png")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distillation", "processes"),
    [(False, 1), pytest.param(True, 2, marks=pytest.mark.long)],
    indirect=["distillation"],
)
def test_kills_around_refreshed_masks_change_nothing(distillation, processes: int):
    """Before masks are made anew, while they are, and after."""
    finish(processes)
    whole, maps = results(), maps_of(distillation)
    assert {name.partition("/")[0] for name in maps} == {"5", "10", "15"}
    assert {"net_g_60", "net_second_60", "net_g_latest", "net_second_latest"} == whole[0].keys()
    shutil.move("experiments/run", "experiments/whole")

    process = start(processes)
    wait_until_reached(14, process)
    kill(process)
    process = start(processes, resume=True)
    while not (distillation / "10").is_dir():
        assert process.poll() is None, output_of(process)
        time.sleep(0.0005)
    kill(process)
    process = start(processes, resume=True)
    wait_until_reached(35, process)
    kill(process)
    finish(processes, resume=True)
    assert_same(whole, results())
    assert maps_of(distillation) == maps


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_torchrun_restarts_a_run_that_then_goes_on_by_itself(workplace, killed: int):
    """Without --auto_resume, which at the first start would go on with whatever is there."""
    finish(2)
    whole = results()
    shutil.move("experiments/run", "experiments/whole")
    process = start(2, restarts=1)
    wait_until_reached(21, process)
    os.kill(sorted(children_of(process))[killed], signal.SIGKILL)
    output = output_of(process)
    assert process.returncode == 0, output
    assert "ended silently, most likely killed" in output and "resuming from" in output
    assert_same(whole, results())


@pytest.mark.slow
def test_torchrun_does_not_go_on_with_an_experiment_of_another_start(workplace):
    finish(2)
    before = results()
    process = start(2, restarts=1)
    output = output_of(process)
    assert process.returncode != 0
    assert "name: the experiment experiments/run exists already" in output and "resuming from" not in output
    assert_same(before, results())


@pytest.mark.slow
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
    output = output_of(again)
    assert again.returncode == 0, output
    assert "resuming from" in output
    assert_same(whole, results())
