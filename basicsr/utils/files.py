"""Writing files so that nothing half-written is ever found under its final name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write(temporary)`` on a name beside ``path``, then rename it; parent folders are made.

    Raises:
        OSError: with the name of ``path``, when the disk is full or the folder cannot be written; ``path`` is
            left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        with _errors_naming(path):
            write(temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
            file.write(line.encode() + b"\n")
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
