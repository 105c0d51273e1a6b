"""A checksum inside a checkpoint, of all its other bytes; programs that read the file ignore it.

``.pth`` and ``.state`` files are zip files and have it as their comment, safetensors files in their metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from basicsr.utils.checksum import DIGITS, checksum_of_parts

_LABEL = b"blake2b:"
UNSEALED = _LABEL.decode() + "0" * DIGITS
"""Placeholder of the checksum until `seal` fills it in."""

_CHUNK = 1 << 20
_LENGTH = 8  # bytes of a safetensors file that hold the length of its header


def seal(data: bytes) -> bytes:
    """Put the checksum into the bytes of a safetensors file whose metadata hold `UNSEALED`."""
    start = data.index(UNSEALED.encode()) + len(_LABEL)
    digits = checksum_of_parts([data[:start], data[start + DIGITS :]])
    return data[:start] + digits.encode() + data[start + DIGITS :]


def seal_zip(data: bytes) -> bytes:
    """Put the checksum behind the bytes of a zip file that has no comment."""
    assert data.endswith(b"\0\0"), "the length of the comment stands at the end"
    commented = data[:-2] + len(UNSEALED).to_bytes(2, "little") + _LABEL
    return commented + checksum_of_parts([commented]).encode()


def is_damaged(path: Path) -> bool:
    """Whether a file does not match its checksum; False for files without one, from elsewhere."""
    with path.open("rb") as file:
        start = _place(file, path.stat().st_size)
        if start is None:
            return False
        digits = checksum_of_parts(_around(file, start)).encode()
        file.seek(start)
        return file.read(DIGITS) != digits


def _place(file: BinaryIO, size: int) -> int | None:
    """Where the digits begin."""
    file.seek(max(0, size - len(UNSEALED)))
    if file.read(len(_LABEL)) == _LABEL:
        return max(0, size - DIGITS)
    file.seek(0)
    length = int.from_bytes(file.read(_LENGTH), "little")
    found = file.read(length).find(_LABEL) if length <= size - _LENGTH else -1
    return None if found < 0 else _LENGTH + found + len(_LABEL)


def _around(file: BinaryIO, start: int) -> Iterator[bytes]:
    """All bytes of a file but the digits at ``start``."""
    file.seek(0)
    left = start
    while part := file.read(min(left, _CHUNK)):
        left -= len(part)
        yield part
    file.seek(DIGITS, 1)
    while part := file.read(_CHUNK):
        yield part
