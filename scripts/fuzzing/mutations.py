"""Damage to the bytes of a file: what disks, networks and people with bad intentions do to it."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

_EDGE = 256  # bytes at the beginning and the end, where headers and tables are
_NUMBER = re.compile(rb"-?\d+(\.\d+)?")
_TEXTS = (
    b"0",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"nan",
    b"null",
    b'"',
    b"[",
    b"{",
    b"\xff",
    b"\0",
    b"\n",
)

Part = tuple[bytes, bytes]
"""Name and content of a piece of a file."""


class Container(NamedTuple):
    """A kind of file that is made of parts, so that damage can be done within its checksums.

    Attributes:
        split: bytes of a whole file -> its parts.
        join: the file of these parts; undoes `split`, but for checksums over the whole file.
    """

    split: Callable[[bytes], list[Part]]
    join: Callable[[list[Part]], bytes]


def harmed(data: bytes, others: Sequence[bytes], container: Container | None, random: Random) -> bytes:
    """A damaged copy.

    Args:
        data: of a whole file.
        others: further files of its format, whose bytes are spliced in.
        container: what the file is made of; half of the damage is then done to its parts.
    """
    if container is None or random.random() < 0.5:
        return _harmed_bytes(data, others, random)
    parts = container.split(data)
    place = random.randrange(len(parts))
    name, content = parts[place]
    if random.random() < 0.3:
        rearranged = {
            "left out": [],
            "twice": [parts[place]] * 2,
            "of another": [(name, random.choice(parts)[1])],
            "renamed": [(_harmed_bytes(name, [], random), content)],
        }
        parts[place : place + 1] = rearranged[random.choice(list(rearranged))]
    else:
        parts[place] = name, _harmed_bytes(content, [other for _, other in parts], random)
    return container.join(parts)


def _harmed_bytes(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """With one to four changes, mostly one."""
    for _ in range(1 + min(3, int(random.expovariate(1)))):
        data = random.choice(_CHANGES)(data, others, random)
    return data


def _flipped(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Up to eight bits."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8) if data else 0):
        changed[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _without_range(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + data[end:]


def _zeroed(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _overwritten(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + random.randbytes(end - start) + data[end:]


def _spliced(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """A piece of another file instead of, or between, its own bytes."""
    other = random.choice([data, *others])
    start, end = _range(other, random)
    at = _place(data, random)
    return data[:at] + other[start:end] + data[at + random.choice([0, end - start]) :]


def _duplicated(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """A chunk, up to 64 times."""
    start, end = _range(data, random)
    return data[:end] + data[start:end] * random.choice([1, 1, 1, 2, 7, 64]) + data[end:]


def _other_length(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """A number of 1, 2, 4 or 8 bytes, as fields of lengths, sizes and offsets are."""
    kind = random.choice("BHIQ")
    order, size = random.choice("<>"), struct.calcsize(f"={kind}")
    if len(data) < size:
        return data
    start = min(_place(data, random), len(data) - size)
    most = (1 << 8 * size) - 1
    (before,) = struct.unpack_from(order + kind, data, start)
    new = [0, 1, 2, before - 1, before + 1, before * 2, len(data), most, most - 1, most // 2, most // 2 + 1]
    field = struct.pack(order + kind, random.choice([*new, random.randint(0, most)]) & most)
    return data[:start] + field + data[start + size :]


def _other_text(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Another number for one that stands there as text, or a word that parsers stumble over."""
    found = list(_NUMBER.finditer(data[: 1 << 16]))
    start, end = (
        random.choice(found).span() if found and random.random() < 0.7 else [_place(data, random)] * 2
    )
    return data[:start] + random.choice(_TEXTS) + data[end:]


_CHANGES = (
    _flipped, _cut, _without_range, _zeroed, _overwritten, _spliced, _duplicated, _other_length,
    _other_length, _other_text,
)  # fmt: skip


def _place(data: bytes, random: Random) -> int:
    """An index, half of the time near the beginning or the end."""
    last = max(len(data) - 1, 0)
    where = random.random()
    if where < 0.4:
        return random.randint(0, min(_EDGE, last))
    return random.randint(max(0, last - _EDGE), last) if where < 0.5 else random.randint(0, last)


def _range(data: bytes, random: Random) -> tuple[int, int]:
    start = _place(data, random)
    length = random.choice([1, 4, 16, 64, 1024, random.randint(0, len(data))])
    return start, min(len(data), start + length)


def _split_zip(data: bytes) -> list[Part]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(item.filename.encode(), archive.read(item)) for item in archive.infolist()]


def _join_zip(parts: list[Part]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts:
            archive.writestr(zipfile.ZipInfo(name.decode(errors="replace")), content)
    return buffer.getvalue()


def _split_png(data: bytes) -> list[Part]:
    parts, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def _join_png(parts: list[Part]) -> bytes:
    """With checksums that hold."""
    chunks = [
        len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
        for name, content in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _split_safetensors(data: bytes) -> list[Part]:
    end = 8 + int.from_bytes(data[:8], "little")
    return [(b"header", data[8:end]), (b"tensors", data[end:])]


def _join_safetensors(parts: list[Part]) -> bytes:
    header, *rest = [content for _, content in parts] or [b""]
    return len(header).to_bytes(8, "little") + header + b"".join(rest)


ZIP = Container(_split_zip, _join_zip)
PNG = Container(_split_png, _join_png)
SAFETENSORS = Container(_split_safetensors, _join_safetensors)
