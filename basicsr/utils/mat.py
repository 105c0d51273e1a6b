"""Numeric arrays of ``.mat`` files of versions 5 to 7, as MathWorks describes them in "MAT-File Format".

SciPy reads more kinds of variables, but a damaged file can crash the interpreter there.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX = 0x08
_MOST_DIMENSIONS = 32
# Types of stored numbers, and classes of variables.
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip


class NewerMatError(ValueError):
    """A file of version 7.3, which is HDF5."""


class _Element(NamedTuple):
    kind: int
    content: memoryview


def read_mat(data: bytes, most: int) -> dict[str, NDArray[Any]]:
    """Bytes of a file -> its real numeric variables by name; other variables are left out.

    Args:
        most: bytes of all variables, unpacked.

    Raises:
        NewerMatError: version 7.3.
        ValueError: damaged, cut short, larger, or no such file; one line.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None:
        raise ValueError("not a MAT file of versions 5 to 7")
    (version,) = struct.unpack_from(f"{order}H", data, 124)
    if version != 0x0100:
        raise NewerMatError("is of version 7.3 (HDF5)")
    found = {}
    for element in _elements(memoryview(data)[_HEADER:], order):
        if element.kind == _COMPRESSED:
            element = _unpacked(element.content, order, most)
        most -= len(element.content)
        if element.kind == _MATRIX and (variable := _variable(element.content, order)) is not None:
            name, values = variable
            found[name] = values
    return found


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """The consecutive elements."""
    while len(data) > 0:
        if len(data) < 8:
            raise ValueError("cut short")
        kind, size = struct.unpack_from(f"{order}II", data)
        start = 8
        if kind >> 16:  # a small one: its size and its content stand in the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, 4
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
        if start + size > len(data):
            raise ValueError("cut short")
        yield _Element(kind, data[start : start + size])
        end = start + size
        data = data[end if kind == _COMPRESSED else end + -end % 8 :]


def _unpacked(packed: memoryview, order: str, most: int) -> _Element:
    """The one element in a compressed one; memory is taken for the size that it states, up to ``most``."""
    unpacker = zlib.decompressobj()
    try:
        tag = unpacker.decompress(packed, 8)
        if len(tag) < 8:
            raise ValueError("cut short")
        kind, size = struct.unpack(f"{order}II", tag)
        if size > most:
            raise ValueError(f"unpacked more than {most:,} bytes")
        content = unpacker.decompress(unpacker.unconsumed_tail, size) if size else b""
    except zlib.error as error:
        raise ValueError(f"damaged ({error})") from error
    if len(content) < size:
        raise ValueError("cut short")
    return _Element(kind, memoryview(content))


def _variable(content: memoryview, order: str) -> tuple[str, NDArray[Any]] | None:
    """Name and values of a variable; None unless it holds real numbers."""
    parts = list(_elements(content, order))
    if len(parts) < 4 or len(parts[0].content) < 4:
        return None
    (flags,) = struct.unpack_from(f"{order}I", parts[0].content)
    kind, stored = flags & 0xFF, parts[3].kind
    if kind not in _CLASSES or flags >> 8 & _COMPLEX or stored not in _STORED:
        return None
    if len(parts[1].content) % 4 or not 2 <= len(parts[1].content) // 4 <= _MOST_DIMENSIONS:
        raise ValueError(f"{len(parts[1].content)} bytes of dimensions")
    shape = np.frombuffer(parts[1].content, f"{order}i4").tolist()
    values = parts[3].content
    if min(shape) < 0 or math.prod(shape) * np.dtype(_STORED[stored]).itemsize != len(values):
        raise ValueError(f"{len(values)} bytes for the shape {tuple(shape)}")
    read = np.frombuffer(values, order + _STORED[stored]).reshape(shape, order="F")
    return bytes(parts[2].content).decode("ascii", "backslashreplace"), read.astype(_CLASSES[kind])
