"""Where a run happens: device, folder, and the state that it goes on from."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml

from basicsr.checkpoints.weights import save_contents
from basicsr.config.load import load_config
from basicsr.config.paths import ExperimentPaths, ResultPaths
from basicsr.config.schema import Config
from basicsr.engine.run import device_of_process, open_testing, open_training
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.log import logger
from basicsr.utils.processes import Process

CPU = torch.device("cpu")


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    logger().propagate = True
    caplog.set_level(logging.WARNING, "basicsr")
    return caplog


@pytest.mark.parametrize(("num_gpu", "gpus", "local_rank", "device"), [
    (0, 2, 0, "cpu"),
    (0, 0, 0, "cpu"),
    ("auto", 0, 0, "cpu"),
    ("auto", 2, 0, "cuda:0"),
    ("auto", 2, 1, "cuda:1"),
    ("auto", 1, 1, "cuda:0"),
    (1, 2, 0, "cuda:0"),
])  # fmt: skip
def test_each_process_has_its_gpu_or_the_cpu(monkeypatch, warnings, num_gpu, gpus, local_rank, device):
    with_gpus(monkeypatch, gpus)
    assert device_of_process(num_gpu, Ranks(local_rank=local_rank)) == torch.device(device)
    assert not warnings.messages


@pytest.mark.parametrize(("gpus", "message"), [
    (0, "num_gpu is 3, but CUDA is not available: running on CPU"),
    (4, "num_gpu is 3, but 1 process(es) were started; start with torchrun --nproc_per_node=3"),
])  # fmt: skip
def test_what_cannot_be_had_is_said_once(monkeypatch, warnings, gpus: int, message: str):
    with_gpus(monkeypatch, gpus)
    device_of_process(3, Ranks(rank=1))
    assert not warnings.messages, "only by the main process"
    device_of_process(3, Ranks())
    assert warnings.messages == [message]


@pytest.fixture
def config(paired_set, tmp_path, monkeypatch) -> Config:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.backends.cudnn.benchmark", False)  # a run changes it
    roots = {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    block = {"type": "PairedImageDataset", "name": "set", **roots}
    options = {
        "name": "small",
        "num_gpu": 0,
        "datasets": {"train": block, "test": block},
        "network_g": {"type": "NAFNet", "width": 4},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 0.001},
            "scheduler": {"type": "LinearLR", "total_iter": 100},
            "total_iter": 100,
            "pixel_opt": {"type": "PSNRLoss"},
        },
    }
    Path("options.yml").write_text(yaml.safe_dump(options))
    return load_config("options.yml")


def leave_state(paths: ExperimentPaths, iteration: int) -> Path:
    for path in (paths.network(iteration), paths.state(iteration)):
        save_contents(path, {})
    return paths.state(iteration)


def test_a_run_begins_anew_or_goes_on_from_its_newest_state(config):
    paths = ExperimentPaths.of("small")
    first = open_training(config, "none", auto_resume=True)
    assert (first.device, first.resume_state, first.paths) == (CPU, None, paths)
    first.start_records(config)
    first.close()
    assert paths.config(0).is_file() and paths.events.parent.is_dir()
    with pytest.raises(OptionError, match="exists already. Add --auto_resume"):
        open_training(config, "none", auto_resume=False)
    leave_state(paths, 5)
    newest = leave_state(paths, 20)
    second = open_training(config, "none", auto_resume=True)
    assert second.resume_state == newest
    second.start_records(config)
    second.close()
    assert paths.config(20).is_file() and paths.config(0).is_file()


@pytest.mark.parametrize("wanted", [False, True])
def test_tensorboard_is_needed_only_where_it_is_wanted(config, monkeypatch, wanted: bool):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    more = {"base": "options.yml", "logger": {"use_tb_logger": wanted}}
    Path("more.yml").write_text(yaml.safe_dump(more))
    chosen = load_config("more.yml")
    run = open_training(chosen, "none", auto_resume=False)
    if wanted:
        with pytest.raises(UserError, match="logger.use_tb_logger"):
            run.start_records(chosen)
    else:
        run.start_records(chosen)
    run.close()


def test_a_folder_without_a_state_is_put_aside(config):
    paths = ExperimentPaths.of("small")
    paths.root.mkdir(parents=True)
    (paths.root / "notes.txt").write_text("mine")
    run = open_training(config, "none", auto_resume=True)
    run.start_records(config)
    run.close()
    (kept,) = paths.root.parent.glob("*/notes.txt")
    assert kept.parent != paths.root and kept.read_text() == "mine"


def test_a_state_of_another_run_begins_a_new_folder(config):
    state = leave_state(ExperimentPaths.of("other"), 7)
    Path("more.yml").write_text(yaml.safe_dump({"base": "options.yml", "path": {"resume_state": str(state)}}))
    more = load_config("more.yml")
    run = open_training(more, "none", auto_resume=False)
    assert run.resume_state == state
    ExperimentPaths.of("small").root.mkdir(parents=True)
    (ExperimentPaths.of("small").root / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match="exists already"):
        open_training(more, "none", auto_resume=False)


@pytest.mark.parametrize(
    "open_run", [lambda c: open_training(c, "none", True), lambda c: open_testing(c, "none")]
)
def test_random_numbers_begin_with_the_seed(config, open_run):
    drawn = []
    for _ in range(2):
        open_run(config)
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)
    torch.manual_seed(config.manual_seed)
    assert torch.equal(torch.rand(3), drawn[0])


@pytest.mark.parametrize(
    ("open_run", "lock"),
    [
        (lambda config: open_training(config, "none", True), ExperimentPaths.of("small").lock),
        (lambda config: open_testing(config, "none"), ResultPaths.of("small").lock),
    ],
)
def test_a_folder_that_another_process_writes_to_is_refused(config, open_run, lock: Path):
    lock.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        lock.write_text(json.dumps(asdict(Process.here(other.pid))))
        with pytest.raises(UserError, match=f"{lock.parent}/small: process {other.pid} on .* writes there"):
            open_run(config)
    run = open_run(config)  # that one is dead now
    assert json.loads(lock.read_bytes())["pid"] == os.getpid()
    run.close()
    assert not lock.exists()


def test_a_start_that_fails_leaves_no_lock(config):
    other = ExperimentPaths.of("small")
    other.root.mkdir(parents=True)
    (other.root / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match="exists already"):
        open_training(config, "none", auto_resume=False)
    run = open_training(config, "none", auto_resume=True)
    with pytest.raises(ZeroDivisionError), run.going_on():
        raise ZeroDivisionError
    assert list(other.root.parent.iterdir()) == [other.root]
