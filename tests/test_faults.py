"""Full disks, read-only folders and killed workers, for real: each is a line, and nothing half made stays."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from basicsr.utils.image import write_png

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "num_gpu=0", "network_g.width=4", "network_g.enc_blk_nums=[1,1]", "network_g.dec_blk_nums=[1,1]",
    "path.pretrain_network_g=null", "datasets.train.gt_size=16", "datasets.train.batch_size_per_gpu=2",
    "datasets.train.num_worker_per_gpu=1", "train.warmup_iter=-1", "name=run",
]  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.dist,
    pytest.mark.skipif(sys.platform != "linux", reason="disks and limits as Linux has them"),
]


@pytest.fixture
def workplace(paired_set, tmp_path, monkeypatch) -> Path:
    """The current folder, with a tiny set in the place of the Demo set."""
    for split in ("train", "test"):
        shutil.copytree(paired_set, tmp_path / "datasets/Demo" / split)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def program(script: str, *words: str) -> list[str]:
    return [sys.executable, str(ROOT / script), *words]


def training(*overrides: str) -> list[str]:
    return program("basicsr/train.py", "-opt", "Demo/NAFNet", "--set", *TINY, *overrides)


def _is_bar(line: str) -> bool:
    return "/s]" in line


class Ended:
    """How a command ended, and the files that there were then."""

    def __init__(self, command: list[str], listed: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=240, env=environment | {"OMP_NUM_THREADS": "1"}
        )
        self.code = done.returncode
        self.output, _, files = done.stdout.partition("FILES:\n")
        self.errors = [line for line in done.stderr.splitlines() if line and not _is_bar(line)]
        self.files = {str(Path(line).relative_to(listed)) for line in files.splitlines()}


# A file system of its own for a process; where that is forbidden, files may not grow beyond its size.
_ON_SMALL_DISK = """
mkdir -p "$1"
if mount -t tmpfs -o size="$2"k tmpfs "$1" 2>/dev/null; then :; else ulimit -f "$2"; fi
folder="$1"; shift 2; "$@"; code=$?
echo FILES:; find "$folder" -type f; exit $code
"""


@pytest.fixture
def on_small_disk(tmp_path) -> Callable[..., Ended]:
    """A function: kilobytes, a command -> how it ended where the folder ``disk`` holds no more than that."""
    is_allowed = subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0

    def run(kilobytes: int, command: list[str]) -> Ended:
        disk = tmp_path / "disk"
        own = ["unshare", "-rm"] if is_allowed else []
        return Ended([*own, "bash", "-c", _ON_SMALL_DISK, "-", str(disk), str(kilobytes), *command], disk)

    return run


@pytest.fixture
def read_only(tmp_path) -> Callable[[list[str]], Ended]:
    """A function: command -> how it ended where nothing can be written below ``disk``, not even by root."""

    def run(command: list[str]) -> Ended:
        disk = tmp_path / "disk"
        disk.mkdir(exist_ok=True)
        disk.chmod(0o555)
        as_others = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
        try:
            return Ended([*as_others, *command], disk)
        finally:
            disk.chmod(0o755)

    return run


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Six photos of noise in the current folder, 120 kB each."""
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (200, 200, 3), np.uint8)
        write_png(tmp_path / "photos" / f"{number}.png", noise)
    return tmp_path / "photos"


def test_training_on_a_full_disk_keeps_whole_checkpoints_and_ends_after_the_third_it_cannot_write(
    workplace, on_small_disk
):
    """Also with pictures, best weights and curves, none of which ends it."""
    Path("disk").mkdir()
    Path("experiments").symlink_to("disk")
    wanted = ["val.save_img=true", "val.val_freq=5", "logger.keep_best=psnr", "logger.save_checkpoint_freq=2"]
    ended = on_small_disk(150, training("train.total_iter=60", *wanted))
    assert ended.code == 1 and len(ended.errors) == 1, ended.errors
    assert "No space left" in ended.errors[0] or "File too large" in ended.errors[0]
    assert "3 times in a row; fix that, and resume with --auto_resume" in ended.errors[0]
    assert "the earlier ones stay" in ended.output
    states = {Path(name).stem for name in ended.files if name.endswith(".state")}
    weights = {Path(name).stem.removeprefix("net_g_") for name in ended.files if name.endswith(".pth")}
    assert weights - {"latest", "best"} == states
    assert not [name for name in ended.files if ".part" in name]


@pytest.mark.parametrize("kilobytes", [4, 300, 740])
def test_make_lmdb_on_a_full_disk_is_one_line_and_leaves_nothing(photos, on_small_disk, kilobytes: int):
    """720 kB of photos; the disk is full at the first entry, in the middle, and behind the last one."""
    command = program("scripts/data_preparation/make_lmdb.py", str(photos), "disk/set.lmdb")
    ended = on_small_disk(kilobytes, [*command, "--workers", "1"])
    assert ended.code == 1 and len(ended.errors) == 1 and ended.files == set()
    assert ended.errors[0].startswith("error: disk/set.lmdb: cannot be written (")
    assert ended.errors[0].endswith("); check keys and free space")


@pytest.mark.parametrize("name", ["infer", "make_lmdb", "create_masks"])
def test_a_read_only_folder_is_one_line(photos, workplace, read_only, name: str):
    place = ["-i", str(photos), "-o"] if name == "infer" else [str(photos)]
    script = "basicsr/infer.py" if name == "infer" else f"scripts/data_preparation/{name}.py"
    ended = read_only(program(script, *place, "disk/new"))
    assert (ended.code, len(ended.errors), ended.files) == (1, 1, set()), ended.errors
    assert ended.errors[0].startswith("error: disk/new") and "Permission denied" in ended.errors[0]


def test_an_experiment_in_a_read_only_folder_is_one_line(workplace, read_only):
    Path("experiments").symlink_to("disk")
    ended = read_only(training("train.total_iter=2"))
    assert (ended.code, len(ended.errors), ended.files) == (1, 1, set()), ended.errors
    assert re.match(r"error: \S*experiments/\.run\.lock: Permission denied; choose a place", ended.errors[0])


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Processes that load data, by PyTorch's name for them: ``process`` starts git as well."""
    command = ["ps", "-o", "pid=,comm=", "--ppid", str(process.pid)]
    found = subprocess.run(command, capture_output=True, text=True)
    children = (line.split(maxsplit=1) for line in found.stdout.splitlines())
    return [int(pid) for pid, name in children if name == "pt_data_worker"]


@pytest.mark.parametrize("command", ["train", "test"])
def test_a_worker_that_is_killed_ends_the_run_with_one_line(workplace, command: str):
    """As the kernel does when memory runs out. Samples are slow, so that the worker lives long enough."""
    Path("slow.py").write_text(
        "import time\nfrom dataclasses import dataclass\n"
        "from basicsr.data.paired import PairedImageDataset\nfrom basicsr.utils.registry import DATASETS\n"
        "@DATASETS.register\n@dataclass(kw_only=True, eq=False)\nclass SlowSet(PairedImageDataset):\n"
        "    def finish(self, *args):\n        time.sleep(1)\n        return super().finish(*args)\n"
    )
    slow = ["plugins=[slow.py]", *(f"datasets.{name}.type=SlowSet" for name in ("train", "val"))]
    tested = program("basicsr/test.py", "-opt", "Demo/NAFNet", "--set", *TINY[:5], "name=run", *slow[:1])
    how = training(*slow) if command == "train" else [*tested, "datasets.test.type=SlowSet"]
    process = subprocess.Popen(how, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not workers_of(process):
            time.sleep(0.01)
        os.kill(workers_of(process)[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    lines = [line for line in errors.splitlines() if line and not _is_bar(line)]
    assert process.returncode == 1 and len(lines) == 1, errors
    assert lines[0].startswith(
        "error: a process that loads data was killed, most likely because memory ran out"
    )
