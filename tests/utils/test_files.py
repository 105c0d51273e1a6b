"""No half-written file under a final name."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from basicsr.utils.errors import UserError
from basicsr.utils.files import (
    remove_dead,
    require_short_names,
    temporary_beside,
    write_atomically,
    write_bytes,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_arrive_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "c.bin"
    write_bytes(path, b"first")
    write_bytes(path, b"2nd")
    assert path.read_bytes() == b"2nd" and names(path.parent) == ["c.bin"]


def test_old_file_stays_readable_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "x.png"
    write_bytes(path, b"old")

    def write(temporary: Path) -> None:
        assert (
            temporary.parent == path.parent and temporary.suffix == ".png" and temporary.name.startswith(".")
        )
        temporary.write_bytes(b"ne")
        assert path.read_bytes() == b"old"
        temporary.write_bytes(b"new")

    write_atomically(path, write)
    assert path.read_bytes() == b"new" and names(tmp_path) == ["x.png"]


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("x"), KeyboardInterrupt()]
)
def test_writer_that_fails_changes_nothing_and_leaves_nothing(error, existed, tmp_path):
    path = tmp_path / "x.state"
    if existed:
        write_bytes(path, b"old")

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomically(path, write)
    assert names(tmp_path) == (["x.state"] if existed else [])
    assert not existed or path.read_bytes() == b"old"
    if isinstance(error, OSError):
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


def test_error_without_a_number_keeps_its_words(tmp_path):
    def write(temporary: Path) -> None:
        raise OSError("the encoder gave up")

    with pytest.raises(OSError, match="the encoder gave up"):
        write_atomically(tmp_path / "x.png", write)


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are a matter of POSIX")
def test_disk_that_fills_up_is_an_error_with_the_name_and_the_old_file_stays(tmp_path):
    path = tmp_path / "net_g_latest.pth"
    path.write_bytes(b"old")
    code = (
        "import resource, sys; from pathlib import Path; from basicsr.utils.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_bytes(Path(sys.argv[1]), bytes(10_000))\n"
        "except OSError as error:\n    sys.exit(error.filename)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.strip()) == (1, str(path))
    assert path.read_bytes() == b"old" and names(tmp_path) == [path.name]


def test_folder_that_is_a_file_is_an_error_with_a_name(tmp_path):
    (tmp_path / "folder").touch()
    with pytest.raises(OSError) as caught:
        write_bytes(tmp_path / "folder" / "x", b"")
    assert "folder" in str(caught.value.filename)


LONG = "x" * 251 + ".png"


@pytest.mark.parametrize("name", [LONG, "a." + "s" * 253, "é" * 127 + "x", "字" * 85])
def test_every_name_that_can_be_stored_can_be_written(name: str, tmp_path):
    assert len(name.encode()) == 255
    write_bytes(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x" and names(tmp_path) == [name]


def test_temporary_names_are_short_hidden_and_different(tmp_path):
    temporary = {name: temporary_beside(tmp_path / name) for name in (LONG, "y" + LONG[1:], "a.png", "b.png")}
    assert len(set(temporary.values())) == 4
    for path in temporary.values():
        assert path.parent == tmp_path and path.suffix == ".png"
        assert path.name.startswith(".") and len(path.name) < 60


def dead_process() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    return ended.pid


def begun_by(pid: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a process of that number writes to."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: pid)
        begun = temporary_beside(path)
    begun.write_bytes(b"half")
    return begun


@pytest.fixture
def other(monkeypatch) -> Iterator[int]:
    """The number of another living process."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        yield process.pid


def test_what_dead_processes_have_begun_is_removed_and_what_living_ones_write_is_not(
    tmp_path, monkeypatch, other: int
):
    dead = begun_by(dead_process(), tmp_path / "a.png", monkeypatch)
    folder = begun_by(dead_process(), tmp_path / "b.lmdb", monkeypatch)
    folder.unlink()
    folder.mkdir()
    (folder / "data.mdb").touch()
    living = {begun_by(pid, tmp_path / "a.png", monkeypatch).name for pid in (os.getpid(), other)}
    strange = {"a.png", ".hidden", ".x.part.png", ".part", ".0123456789abcdef.part", ".x.12.part"}
    for name in strange:
        (tmp_path / name).touch()
    assert sorted(remove_dead(tmp_path)) == sorted([dead, folder])
    assert {path.name for path in tmp_path.iterdir()} == living | strange
    assert remove_dead(tmp_path) == [] == remove_dead(tmp_path / "none")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing says when a process was started")
def test_another_process_of_the_same_number_is_another_process(tmp_path):
    begun = temporary_beside(tmp_path / "a.png")
    earlier = begun.with_name(re.sub(r"-[0-9a-f]+\.part", "-1.part", begun.name))
    earlier.touch()
    assert remove_dead(tmp_path) == [earlier]


def test_what_another_machine_has_begun_is_left_for_a_day(tmp_path):
    begun = temporary_beside(tmp_path / "a.png")
    elsewhere = begun.with_name(re.sub(r"\.[0-9a-f]{8}-", ".01234567-", begun.name))
    before = begun.with_name(".0123456789abcdef.12.part.png")  # as earlier versions called it
    for path in (elsewhere, before):
        path.touch()
    assert remove_dead(tmp_path) == []
    for path in (elsewhere, before):
        os.utime(path, (time.time() - 90_000,) * 2)
    assert sorted(remove_dead(tmp_path)) == sorted([elsewhere, before])


def test_the_first_file_that_is_written_to_a_folder_clears_it(tmp_path):
    """Whatever command writes it; so nothing has to remember to."""
    name = temporary_beside(tmp_path / "elsewhere" / "a.png").name
    folder = tmp_path / "new"
    folder.mkdir()
    dead = folder / name.replace(f"-{os.getpid()}-", f"-{dead_process()}-")
    dead.touch()
    write_bytes(folder / "b.png", b"x")
    assert names(folder) == ["b.png"]


def test_names_that_no_file_can_have_are_told_before_the_work(tmp_path):
    require_short_names([tmp_path / LONG, tmp_path / ("é" * 127)])
    for name, length in (("x" + LONG, 256), ("é" * 128, 256), ("字" * 100, 300)):
        with pytest.raises(OSError):
            (tmp_path / name).touch()
        with pytest.raises(UserError, match=f"the name has {length} bytes, a file system holds 255; shorten"):
            require_short_names([tmp_path / "a.png", tmp_path / name])
