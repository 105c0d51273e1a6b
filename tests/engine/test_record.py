"""The record of a run, and what a resumed one says of it."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path

import pytest
import torch

import basicsr
from basicsr.config.paths import ExperimentPaths
from basicsr.data.fingerprint import fingerprint
from basicsr.data.paired import PairedImageDataset
from basicsr.engine.record import Record, code, read_record
from basicsr.engine.trainer import Trainer
from basicsr.utils.checksum import without_checksum
from basicsr.utils.dist import Ranks
from basicsr.utils.log import logger


class At:
    """As much of a trainer as a record looks at."""

    device = torch.device("cpu")

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration


@pytest.fixture
def write(paired_set, tmp_path):
    """A function: iteration that the run begins at, seed -> the record that it has written."""
    paths = ExperimentPaths(tmp_path / "run")

    def written(iteration: int, seed: int = 1, rank: int = 0) -> dict:
        data = PairedImageDataset(
            dataroot_gt=str(paired_set / "target"), dataroot_lq=str(paired_set / "input")
        )
        resumed = paths if iteration else None
        hook = Record(paths, resumed, seed, {"datasets.train": fingerprint(data)}, Ranks(rank))
        trainer: Trainer = At(iteration)  # type: ignore[assignment]
        hook.before_run(trainer)
        return json.loads(paths.record(iteration).read_text())

    written.paths = paths
    return written


def test_a_record_says_versions_seed_code_machine_and_data(write, paired_set):
    record = write(0)
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["basicsr"] == basicsr.__version__
    assert (record["seed"], record["machine"]["processes"], record["machine"]["gpu"]) == (1, 1, None)
    sizes = {
        name: sum(path.stat().st_size for path in (paired_set / folder).iterdir())
        for name, folder in (("gt", "target"), ("lq", "input"))
    }
    data = record["data"]["datasets.train"]
    assert (data["images"], data["bytes"]) == (6, sizes)
    assert without_checksum(record).keys() == {"seed", "versions", "code", "machine", "data"}


def test_a_record_that_cannot_be_written_ends_no_run(write, caplog):
    write.paths.root.touch()  # where a folder is needed
    logger().propagate = True
    with pytest.raises(OSError):  # of this test, which reads it
        write(0)
    (told,) = caplog.messages
    assert told.startswith(str(write.paths.root)) and told.endswith("; the record of this run is missing")


def test_a_resumed_run_names_what_differs_and_nothing_else(write, paired_set, caplog):
    logger().propagate = True
    with caplog.at_level(logging.WARNING, "basicsr"):
        before = write(0)
        write(5)
        assert not caplog.messages
        for folder in ("input", "target"):
            (paired_set / folder / "photo_3.png").unlink()
        after = write(8, seed=2)
    (message,) = caplog.messages
    old, new = (record["data"]["datasets.train"] for record in (before, after))
    assert "seed: 1 -> 2; " in message and "datasets.train.images: 6 -> 5; " in message
    assert f"data.datasets.train.keys: {old['keys']} -> {new['keys']}" in message
    assert f"data.datasets.train.bytes.gt: {old['bytes']['gt']} -> {new['bytes']['gt']}" in message
    assert "versions" not in message and "machine" not in message


def test_a_run_is_compared_with_the_one_that_led_to_its_state(write):
    for iteration, seed in ((0, 1), (10, 2), (20, 3)):
        write(iteration, seed)
    found = [read_record(write.paths, iteration) for iteration in (0, 9, 10, 19, 99)]
    assert [record["seed"] for record in found] == [1, 1, 2, 2, 3]
    assert read_record(ExperimentPaths(Path("none")), 5) is None


def test_a_damaged_record_is_told(write, caplog):
    write(0)
    file = write.paths.record(0)
    file.write_text(file.read_text().replace('"seed": 1', '"seed": 2'))
    logger().propagate = True
    with caplog.at_level(logging.WARNING, "basicsr"):
        assert read_record(write.paths, 0) is None
    assert caplog.messages[0].startswith(f"{file}: damaged")


def test_only_the_main_process_writes(write):
    with pytest.raises(FileNotFoundError):
        write(0, rank=1)


def test_code_is_a_commit_and_whether_files_differ_from_it(tmp_path):
    assert code(tmp_path) == {"commit": None, "is_dirty": None}

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    (tmp_path / "a.py").write_text("a = 1\n")
    git("init", "--quiet")
    git("add", "a.py")
    git("commit", "--quiet", "-m", "Begin")
    (tmp_path / "untracked").touch()
    commit = git("rev-parse", "HEAD")
    assert code(tmp_path) == {"commit": commit, "is_dirty": False}
    (tmp_path / "a.py").write_text("a = 2\n")
    assert code(tmp_path) == {"commit": commit, "is_dirty": True}
    (tmp_path / "inner").mkdir()
    assert code(tmp_path / "inner")["commit"] is None, "of what lies around it"
