"""No half-written file under a final name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from basicsr.utils.files import write_atomically, write_bytes


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
