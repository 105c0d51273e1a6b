"""One run at a time in a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from basicsr.utils.errors import UserError
from basicsr.utils.folder_lock import FolderLock
from basicsr.utils.processes import Process

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from basicsr.utils.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), Path("folder"), "go elsewhere", touched_every=0.1)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "experiments" / ".run.lock"


@pytest.fixture
def holder(file) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def lock(file: Path, dead_after: float = 2.0) -> FolderLock:
    return FolderLock(file, Path("folder"), "go elsewhere", dead_after)


def on_another_machine(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(asdict(replace(Process.this(), host="far", machine="01234567"))))


def test_a_lock_leaves_nothing_behind(file):
    lock(file).release()
    assert not file.parent.exists()


def test_the_owner_is_named_and_its_death_frees_the_folder(file, holder):
    with pytest.raises(
        UserError, match=f"^folder: process {holder.pid} on .* writes there; .* go elsewhere$"
    ):
        lock(file)
    holder.kill()
    holder.wait()
    lock(file).release()
    assert not file.exists()


def test_an_owner_on_another_machine_that_touches_the_file_lives(file):
    on_another_machine(file)
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(0.2):
            os.utime(file)

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        with pytest.raises(UserError, match="folder: process [0-9]+ on far writes there"):
            lock(file, dead_after=30.0)
    finally:
        ended.set()
        thread.join()


def test_an_owner_on_another_machine_that_does_not_is_dead(file):
    on_another_machine(file)
    lock(file).release()
    assert not file.exists()


def test_a_lock_that_names_nobody_is_waited_for(file):
    """Its owner has made the file and not yet written to it, or died between the two."""
    file.parent.mkdir()
    file.touch()
    lock(file).release()
    assert not file.exists()


def test_who_was_stopped_until_another_took_over_ends(file, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    on_another_machine(file)
    os.kill(holder.pid, signal.SIGCONT)
    assert holder.wait(60) == 1
    assert holder.stderr is not None
    assert "error: folder: process" in holder.stderr.read()
    assert "far" in file.read_text(), "the lock of the other one stays"


def test_a_stopped_owner_holds_its_lock(file, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    with pytest.raises(UserError, match="writes there"):
        lock(file)


def test_a_later_run_of_the_same_process_takes_the_lock(file):
    lock(file)
    lock(file).release()
    assert not file.exists()
