"""Writing files so that nothing half-written is ever found under its final name."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from basicsr.utils.display import ESCAPED
from basicsr.utils.errors import UserError
from basicsr.utils.processes import ENDED, started_at, this_machine

LONGEST_NAME = 255
"""Bytes of the name of a file or a folder that common file systems can hold."""
_LONGEST_SUFFIX = 16
# Names of `temporary_beside`; those of earlier versions have no machine.
_PART = re.compile(r"\.[0-9a-f]{16}\.(?:([0-9a-f]{8})-)?([0-9]+)(?:-([0-9a-z]+))?\.part(?:\..+)?")
_FORGOTTEN_AFTER = 24 * 3600.0  # seconds


def temporary_beside(path: Path) -> Path:
    """A hidden name in the folder of ``path`` for this process to write to; the suffix is that of ``path``.

    Its length does not depend on that name, so every name that can be stored can be written.
    Leftovers of dead processes in the folder are removed, once per process.
    """
    _remove_dead_once(path.parent)
    suffix = path.suffix if len(path.suffix) <= _LONGEST_SUFFIX else ""
    name = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    pid = os.getpid()
    return path.with_name(f".{name}.{this_machine()}-{pid}-{started_at(pid)}.part{suffix}")


def remove_dead(folder: Path) -> list[Path]:
    """Remove from a folder the unfinished files of dead processes; returns those.

    Processes of other machines cannot be checked: their files are removed after a day without a change.
    """
    if not folder.is_dir():
        return []
    dead = [path for path in map(folder.joinpath, os.listdir(folder)) if _is_dead(path)]
    for path in dead:
        _remove(path)
    return dead


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def _remove_dead_once(folder: Path) -> None:
    with suppress(OSError):  # writing there reports what cannot be listed or written to
        remove_dead(folder)


def _is_dead(path: Path) -> bool:
    match = _PART.fullmatch(path.name)
    if match is None:
        return False
    machine, pid, started = match.groups()
    if machine == this_machine():
        found = started_at(int(pid))
        return found == ENDED or found != started
    try:
        return time.time() - path.stat().st_mtime > _FORGOTTEN_AFTER
    except OSError:
        return False


def require_short_names(paths: Iterable[Path]) -> None:
    """Check, before the work is done, that files can have these names; suffixes and numbers lengthen them.

    Raises:
        UserError: naming the first that has more than `LONGEST_NAME` bytes.
    """
    for path in paths:
        length = len(os.fsencode(path.name))
        if length > LONGEST_NAME:
            found = f"the name has {length} bytes, a file system holds {LONGEST_NAME}"
            raise UserError(f"{path}: {found}; shorten the name of the input")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write(temporary)`` on a name beside ``path``, then rename it; parent folders are made.

    What it writes may be a file or a folder; a folder only where none is at ``path``.

    Raises:
        OSError: with the name of ``path``, when the disk is full or the folder cannot be written; ``path`` is
            left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with _errors_naming(path):
            write(temporary)
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # a read-only disk refuses that, too, and is reported already
            _remove(temporary)


def write_bytes(path: Path, data: bytes, durable: bool = False) -> None:
    """`write_atomically` for bytes at hand; ``durable`` waits until they are on the disk."""
    write_atomically(path, lambda temporary: _write_all(temporary, data, durable))


def append_line(path: Path, line: str) -> None:
    """Append ``line`` and a line break to a text file; on an error the file is left as it was.

    Raises:
        OSError: with the name of ``path``.
    """
    with _errors_naming(path), path.open("ab") as file:
        before = file.tell()
        try:
            file.write(line.encode(errors=ESCAPED) + b"\n")
            file.flush()
        except OSError:
            os.truncate(path, before)
            raise


def _write_all(path: Path, data: bytes, durable: bool) -> None:
    with path.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave the new name without the new content


@contextmanager
def _errors_naming(path: Path) -> Iterator[None]:
    """Errors of writing do not always carry the name of the file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
