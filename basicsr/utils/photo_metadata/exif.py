"""The EXIF block: the entries of its first directory, read and changed in place (TIFF 6.0, Exif 2.32)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

from basicsr.utils.photo_metadata.resolution import Resolution

_ORIENTATION, _ACROSS, _DOWN, _UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_SHORT, _LONG, _RATIONAL = 3, 4, 5


@dataclass(frozen=True)
class _Directory:
    """A directory in its block.

    Attributes:
        order: of bytes, for `struct`.
        entries: (tag, type) -> position of the value, or of its offset.
        end: position of the offset of the next directory.
    """

    order: str
    entries: dict[tuple[int, int], int]
    end: int


def orientation(exif: bytes) -> int:
    """1 to 8 as in EXIF; 1, upright, where it is absent or unreadable."""
    value = _whole(exif, _first_directory(exif), _ORIENTATION)
    return value if value is not None and 1 <= value <= 8 else 1


def resolution(exif: bytes) -> Resolution | None:
    """The resolution by XResolution, YResolution and ResolutionUnit."""
    directory = _first_directory(exif)
    across, down = (_rational(exif, directory, tag) for tag in (_ACROSS, _DOWN))
    unit = _whole(exif, directory, _UNIT)
    return Resolution.of_tiff(across, down, 2 if unit is None else unit) if across and down else None


def of_resolution(resolution: Resolution) -> bytes | None:
    """An EXIF block with nothing but the resolution; None where the numbers are too large."""
    values = resolution.to_tiff()
    if values is None:
        return None
    across, down, unit = values
    behind = 8 + 2 + 3 * 12 + 4
    return (
        struct.pack("<2sHIH", b"II", 42, 8, 3)
        + struct.pack("<HHII", _ACROSS, _RATIONAL, 1, behind)
        + struct.pack("<HHII", _DOWN, _RATIONAL, 1, behind + 8)
        + struct.pack("<HHIHH", _UNIT, _SHORT, 1, unit, 0)
        + bytes(4)
        + struct.pack("<4I", *across.as_integer_ratio(), *down.as_integer_ratio())
    )


def without_thumbnail(exif: bytes) -> bytes:
    """The block cut after its first directory, where thumbnails are; unchanged where there is none."""
    directory = _first_directory(exif)
    if directory is None or not any(exif[directory.end : directory.end + 4]):
        return exif
    cut = exif[directory.end : directory.end + 4]
    return exif[: directory.end] + bytes(len(cut)) + exif[directory.end + 4 :]


def bytes_of_numbers(tiff: bytes, tag: int) -> bytes | None:
    """The bytes of a tag in the first directory that holds 32-bit numbers, in the order of the file."""
    directory = _first_directory(tiff)
    if directory is None or (tag, _LONG) not in directory.entries:
        return None
    place = directory.entries[tag, _LONG]
    (count,) = struct.unpack_from(directory.order + "I", tiff, place - 4)
    if count > 1:
        (place,) = struct.unpack_from(directory.order + "I", tiff, place)
    return tiff[place : place + 4 * count]


def _first_directory(exif: bytes) -> _Directory | None:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, first)
        places = [first + 2 + 12 * number for number in range(count)]
        entries = {struct.unpack_from(order + "HH8x", exif, place): place + 8 for place in reversed(places)}
    except struct.error:
        return None
    return _Directory(order, entries, first + 2 + 12 * count)


def _whole(exif: bytes, directory: _Directory | None, tag: int) -> int | None:
    if directory is None:
        return None
    for kind, code in ((_SHORT, "H"), (_LONG, "I")):
        if (tag, kind) in directory.entries:
            (value,) = struct.unpack_from(directory.order + code, exif, directory.entries[tag, kind])
            return int(value)
    return None


def _rational(exif: bytes, directory: _Directory | None, tag: int) -> Fraction | None:
    if directory is None or (tag, _RATIONAL) not in directory.entries:
        return None
    try:
        (offset,) = struct.unpack_from(directory.order + "I", exif, directory.entries[tag, _RATIONAL])
        return Fraction(*struct.unpack_from(directory.order + "2I", exif, offset))
    except (struct.error, ZeroDivisionError):
        return None
