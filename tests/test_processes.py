"""Real processes of one run, of which one differs, dies, stops or loses its launcher."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0  # seconds, of tests on a busy machine
pytestmark = [pytest.mark.slow, pytest.mark.dist]


class Started:
    """A process with all that it says."""

    def __init__(self, words: list[str], more: dict[str, str], folder: Path, log: Path) -> None:
        clean = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
        environment = clean | {"OMP_NUM_THREADS": "1"} | more
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *words], env=environment, cwd=folder, stdout=file, stderr=subprocess.STDOUT
            )

    def ended(self) -> int:
        """Its exit code."""
        return self.process.wait(PATIENCE)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


class Workplace:
    """A folder with an option file; started processes end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Started] = []
        with socket.create_server(("", 0)) as server:
            self.port = str(server.getsockname()[1])

    def start(self, *words: str, folder: Path | None = None, more: dict[str, str] | None = None) -> Started:
        log = self.folder / f"said_{len(self.started)}.txt"
        self.started.append(Started(list(words), more or {}, folder or self.folder, log))
        return self.started[-1]

    def rank(self, rank: int, *words: str, folder: Path | None = None) -> Started:
        """One of two processes, without a launcher that would end them."""
        ranks = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
        place = {"MASTER_ADDR": "localhost", "MASTER_PORT": self.port}
        train = [str(ROOT / "basicsr/train.py"), "-opt", str(self.folder / "run.yml"), *words]
        return self.start(*train, "--launcher", "pytorch", folder=folder, more=ranks | place)

    def two(self) -> list[Started]:
        """Both, once they train."""
        both = [self.rank(0), self.rank(1)]
        self.wait_until_trained(*both)
        return both

    def wait_until_trained(self, *processes: Started) -> None:
        events = self.folder / "experiments/run/events.jsonl"
        until = time.monotonic() + PATIENCE
        while not (events.is_file() and events.read_text().count("\n") > 2):
            for each in processes:
                assert each.process.poll() is None, each.output
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.fixture
def workplace(paired_set, tmp_path) -> Iterator[Workplace]:
    data = {"type": "PairedImageDataset", "dataroot_gt": "set/target", "dataroot_lq": "set/input"}
    options = {
        "name": "run",
        "num_gpu": 0,
        "datasets": {"train": {**data, "name": "train", "gt_size": 16, "num_worker_per_gpu": 1}},
        "network_g": {"type": "NAFNet", "width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 1e-3},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 10**6},
            "total_iter": 10**6,
            "pixel_opt": {"type": "PSNRLoss"},
        },
        "logger": {"print_freq": 5},
        "dist_params": {"heartbeat_timeout": 5, "warn_after": 2},
    }
    (tmp_path / "run.yml").write_text(yaml.safe_dump(options))
    place = Workplace(tmp_path)
    yield place
    for each in place.started:
        each.process.kill()
        each.process.wait()


def errors(*processes: Started) -> list[str]:
    """Lines that say why a run has ended; nothing else than such a line may do so."""
    output = "".join(each.output for each in processes)
    assert "Traceback" not in output, output
    return [line.removeprefix("error: ") for line in output.splitlines() if line.startswith("error: ")]


def test_processes_with_different_options_are_refused(workplace):
    both = [workplace.rank(0), workplace.rank(1, "--set", "train.total_iter=50")]
    assert [each.ended() for each in both] == [2, 2]
    (line,) = errors(*both)
    assert line.startswith("train.total_iter: 1000000 (rank 0), 50 (rank 1); ")
    assert not (workplace.folder / "experiments").exists()


def test_processes_with_different_data_of_the_same_name_are_refused(workplace, tmp_path):
    """As on machines of which each has its copy; the current folder may differ."""
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "set", other / "set")
    for name in ("target", "input"):
        (other / "set" / name / "photo_5.png").unlink()
    both = [workplace.rank(0), workplace.rank(1, folder=other)]
    assert [each.ended() for each in both] == [2, 2]
    (line,) = errors(*both)
    assert line.startswith("datasets.train.images: 6 (rank 0), 5 (rank 1); ")
    assert not (workplace.folder / "experiments").exists()


@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_rank_that_is_killed_ends_the_other_with_a_line(workplace, killed: int):
    both = workplace.two()
    both[killed].process.kill()
    assert both[1 - killed].ended() == 1
    (line,) = errors(*both)
    assert line.startswith(f"rank {killed} (process {both[killed].process.pid} on ")
    assert "killed" in line and "--auto_resume" in line


@pytest.mark.parametrize("stopped", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_rank_that_is_stopped_ends_the_other_with_a_line(workplace, stopped: int):
    both = workplace.two()
    both[stopped].process.send_signal(signal.SIGSTOP)
    assert both[1 - stopped].ended() == 1
    (line,) = errors(both[1 - stopped])
    assert line.startswith(f"rank {stopped} (process {both[stopped].process.pid} on ")
    assert "gave no sign of life for 5 s: it is stopped" in line
    both[stopped].process.send_signal(signal.SIGCONT)
    assert both[stopped].ended() == 1


def test_processes_end_when_their_launcher_is_killed(workplace):
    train = [str(ROOT / "basicsr/train.py"), "-opt", "run.yml"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    agent = workplace.start(*torchrun, *train)
    workplace.wait_until_trained(agent)
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(agent.process.pid)], capture_output=True)
    ranks = [int(pid) for pid in found.stdout.split()]
    assert len(ranks) == 2
    agent.process.kill()
    until = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}").exists() for pid in ranks):
        assert time.monotonic() < until
        time.sleep(0.1)
    (line,) = errors(agent)
    assert line.startswith(f"the launcher (former process {agent.process.pid} on ")


def test_a_second_run_in_the_same_folder_is_refused(workplace):
    train = [str(ROOT / "basicsr/train.py"), "-opt", "run.yml"]
    first = workplace.start(*train)
    workplace.wait_until_trained(first)
    second = workplace.start(*train, "--auto_resume")
    assert second.ended() == 1
    (line,) = errors(second)
    assert line.startswith(f"experiments/run: process {first.process.pid} on ")
    assert first.process.poll() is None
    first.process.kill()
    first.process.wait()
    third = workplace.start(*train, "--auto_resume", "--set", "train.total_iter=5")
    assert third.ended() == 0, third.output
    assert [path.name for path in (workplace.folder / "experiments").glob(".*")] == []
