"""The pages of an LMDB file, checked before the library maps it.

The library trusts what is in its file: damage can make it read beyond the end, which kills the process, or
fail an assertion, which aborts it. So what it would follow is checked here first: both meta pages, and in the
tree of keys each page, each node, and where each value lies. Values themselves are not read.

The layout is that of LMDB 0.9 (``mdb.c``: MDB_meta, MDB_page, MDB_node) on 64-bit little-endian machines.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_HEADER = struct.Struct("<QHHHH")  # number of the page, padding, flags, ends of its lower and upper part
_META = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TREE = struct.Struct("<IHHQQQQQ")  # page size, flags, depth, branch, leaf and overflow pages, entries, root
_LAST = struct.Struct("<QQ")  # number of the last page, of the transaction
_NODE = struct.Struct("<HHHH")  # low and high half of the size or the page below, flags, size of the key

_BRANCH, _LEAF, _META_PAGE, _DIRTY = 0x01, 0x02, 0x08, 0x10
_FREE_PAGES, _ONE_FILE = 0x08, 0x4000  # flags that the tree of free pages has, and may have
_ELSEWHERE = 0x01  # flag of a node whose value lies on separate pages
_NO_PAGE = 2**64 - 1
_DEEPEST = 30


class DamagedPagesError(Exception):
    """What is wrong with the file, in a few words."""


class _Meta(NamedTuple):
    page_size: int
    root: int
    last_page: int
    transaction: int


def check_pages(path: Path) -> None:
    """Check the file ``data.mdb`` of an LMDB.

    Raises:
        DamagedPagesError: the library could not read it safely.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = _read_meta(file, 0)
        meta = max(first, _read_meta(file, first.page_size), key=lambda meta: meta.transaction)
        if meta.page_size != first.page_size:
            raise DamagedPagesError("its two headers differ")
        if (meta.last_page + 1) * meta.page_size > size:
            raise DamagedPagesError("it is cut short")
        if meta.root != _NO_PAGE:
            _check_tree(file, meta)


def _read_meta(file: BinaryIO, offset: int) -> _Meta:
    length = _HEADER.size + _META.size + 2 * _TREE.size + _LAST.size
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise DamagedPagesError("it is cut short")
    _, _, kind, _, _ = _HEADER.unpack_from(data)
    magic, version, _, _ = _META.unpack_from(data, _HEADER.size)
    trees = _HEADER.size + _META.size
    page_size, flags, *_ = _TREE.unpack_from(data, trees)
    _, main_flags, _, _, _, _, _, root = _TREE.unpack_from(data, trees + _TREE.size)
    last_page, transaction = _LAST.unpack_from(data, trees + 2 * _TREE.size)
    if kind != _META_PAGE or magic != _MAGIC:
        raise DamagedPagesError("its header is not that of an LMDB")
    if version != _VERSION:
        raise DamagedPagesError(f"its header has version {version}, expected {_VERSION}")
    if not 256 <= page_size <= 65536 or page_size & (page_size - 1):
        raise DamagedPagesError(f"its header has pages of {page_size} bytes")
    if flags & ~_ONE_FILE != _FREE_PAGES or main_flags:
        raise DamagedPagesError("its header has an unsupported layout")
    return _Meta(page_size, root, last_page, transaction)


def _check_tree(file: BinaryIO, meta: _Meta) -> None:
    seen: set[int] = set()
    waiting = [(meta.root, 1)]
    while waiting:
        number, depth = waiting.pop()
        if not 2 <= number <= meta.last_page or number in seen or depth > _DEEPEST:
            raise DamagedPagesError(f"its tree leads to page {number}")
        seen.add(number)
        file.seek(number * meta.page_size)
        below = _check_page(file.read(meta.page_size), number, meta)
        waiting += [(page, depth + 1) for page in below]


def _check_page(page: bytes, number: int, meta: _Meta) -> list[int]:
    """Check a page of the tree; returns the pages below it."""
    own, _, kind, lower, upper = _HEADER.unpack_from(page)
    kind &= ~_DIRTY
    count = (lower - _HEADER.size) // 2
    fewest = 2 if kind == _BRANCH else 1
    if own != number or kind not in (_BRANCH, _LEAF):
        raise DamagedPagesError(f"page {number} is not part of its tree")
    if count < fewest or lower % 2 or not lower <= upper <= meta.page_size:
        raise DamagedPagesError(f"page {number} has {count} entries")
    below = []
    for place in struct.unpack_from(f"<{count}H", page, _HEADER.size):
        if place % 2 or not upper <= place <= meta.page_size - _NODE.size:
            raise DamagedPagesError(f"page {number} has an entry at byte {place}")
        low, high, flags, key_size = _NODE.unpack_from(page, place)
        value = place + _NODE.size + key_size
        if kind == _BRANCH:
            end = value
            below.append(low | high << 16 | flags << 32)
        else:
            end = value + _check_value(page, value, low | high << 16, flags, number, meta)
        if end > meta.page_size:
            raise DamagedPagesError(f"page {number} has an entry that goes beyond it")
    return below


def _check_value(page: bytes, place: int, size: int, flags: int, number: int, meta: _Meta) -> int:
    """Check where a value lies; returns how many bytes of it are on the page of its key."""
    if not flags & _ELSEWHERE:
        return size
    if place + 8 <= meta.page_size:
        (first,) = struct.unpack_from("<Q", page, place)
        pages = -(-(_HEADER.size + size) // meta.page_size)
        if not 2 <= first <= meta.last_page + 1 - pages:
            raise DamagedPagesError(f"page {number} has a value on page {first}")
    return 8
