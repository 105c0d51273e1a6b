"""NumPy's files: headers of arrays are compared with the file before memory is taken for them."""

from __future__ import annotations

import io
import math
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_LONGEST_HEADER = 1 << 16
_MOST_OF_DEFLATE = 1032  # bytes that one byte can expand to (zlib)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class ArrayHeader(NamedTuple):
    """The header of an array.

    Attributes:
        shape: of the array.
        dtype: never of Python objects.
        start: bytes before its values.
        is_by_columns: whether the first index of neighboring values differs, not the last (Fortran's order).
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    is_by_columns: bool = False

    @property
    def nbytes(self) -> int:
        """Of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


class Npz:
    """The arrays of an ``.npz`` file, each unpacked when it is read.

    Args:
        file: its path, or its bytes.

    Raises:
        zipfile.BadZipFile: no zip file, or damaged.
    """

    def __init__(self, file: Path | bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file)
        self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()}

    def keys(self) -> list[str]:
        """Names of the arrays."""
        return list(self._members)

    def header(self, key: str) -> ArrayHeader:
        """The header of an array.

        Raises:
            ValueError: it holds Python objects, or its header, the directory of the file and the length of
                the file do not agree.
        """
        info = self._members[key]
        with self._zip.open(info) as member:
            header = _read_header(member.read(_LONGEST_HEADER))
        stated = header.start + header.nbytes
        if stated != info.file_size or stated > _MOST_OF_DEFLATE * info.compress_size:
            what = f"'{key}' is an array of {header.nbytes:,} bytes"
            raise ValueError(f"{what}, of which the file has {info.compress_size:,}, for {info.file_size:,}")
        return header

    def read(self, key: str, most: int | None = None) -> NDArray[Any]:
        """An array, see `header`.

        Args:
            most: values that it may have.

        Raises:
            ValueError: as `header`, or more values.
        """
        shape = self.header(key).shape
        if most is not None and math.prod(shape) > most:
            raise ValueError(f"'{key}' has the shape {shape}")
        with self._zip.open(self._members[key]) as member:
            values: NDArray[Any] = npy.read_array(member, allow_pickle=False)
            return values

    def packed_bytes(self) -> int:
        """Size of all arrays in the file."""
        return sum(info.compress_size for info in self._members.values())


def read_npy(data: bytes) -> NDArray[Any]:
    """The array of an ``.npy`` file.

    Raises:
        ValueError: no such file, of Python objects, or of another length than in its header.
    """
    npy_header(data)
    values: NDArray[Any] = npy.read_array(io.BytesIO(data), allow_pickle=False)
    return values


def npy_header(data: bytes) -> ArrayHeader:
    """The header of an ``.npy`` file.

    Raises:
        ValueError: as in `read_npy`.
    """
    header = _read_header(data[:_LONGEST_HEADER])
    if header.start + header.nbytes != len(data):
        there = len(data) - header.start
        raise ValueError(f"an array of {header.nbytes:,} bytes, of which {there:,} are there")
    return header


def _read_header(beginning: bytes) -> ArrayHeader:
    fixed = 12 if beginning[6:7] == b"\x02" else 10  # magic, version, and the length of what follows
    return _parsed(beginning[: fixed + int.from_bytes(beginning[8:fixed], "little")])


# All entries of a store have the same few headers, and parsing one takes as long as reading an entry.
@lru_cache(maxsize=256)
def _parsed(header: bytes) -> ArrayHeader:
    stream = io.BytesIO(header)
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format")
    shape, is_by_columns, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("Python objects, which could run code, allow_pickle")
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    return ArrayHeader(shape, dtype, stream.tell(), is_by_columns)
