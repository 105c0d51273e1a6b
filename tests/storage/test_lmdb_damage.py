"""Damage to an LMDB ends in one line, never in the library."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

import pytest

from basicsr.storage import LmdbStorage, write_lmdb
from basicsr.storage.lmdb_pages import DamagedPagesError, check_pages
from basicsr.utils.errors import UserError

PAGE = 4096


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Entries on pages of their own and on those of the keys, which fill several."""
    generator = random.Random(0)
    entries = ((f"clip/{number:04d}", generator.randbytes(20 + 3000 * (number % 2))) for number in range(300))
    write_lmdb(tmp_path / "set", ((key, data, (4, 4, 3)) for key, data in entries))
    return tmp_path / "set"


def tree_pages(content: bytes) -> list[int]:
    """Where headers, branches and leaves begin."""
    return [
        start
        for start in range(0, len(content), PAGE)
        if int.from_bytes(content[start + 10 : start + 12], "little") in (1, 2, 8)
    ]


def harmed(content: bytes, generator: random.Random) -> bytes:
    """Cut short, or with a flip, other bytes or a hole, mostly where the library follows what it reads."""
    if generator.random() < 0.2:
        return content[: generator.randrange(len(content))]
    start = generator.choice(tree_pages(content)) if generator.random() < 0.8 else 0
    start += generator.choice([0, 8, 10, 12, 14, 16, 18, 24, 40, 88, 128, generator.randrange(PAGE)])
    length = generator.choice([1, 2, 8, 64])
    other = generator.choice([bytes(length), b"\xff" * length, generator.randbytes(length)])
    return content[:start] + other + content[start + length :]


def read_all(folder: Path) -> str:
    """``whole``, or the one line that says what is wrong."""
    try:
        storage = LmdbStorage(folder)
        for key in storage.keys():  # noqa: SIM118
            storage.read(key)
    except UserError as error:
        return str(error)
    return "whole"


def copies(database: Path, count: int) -> list[Path]:
    """Harmed ones; half of them without their list, half without checksums."""
    generator = random.Random(1)
    folders = []
    for number in range(count):
        folder = database.parent / str(number)
        folder.mkdir()
        (folder / "data.mdb").write_bytes(harmed((database / "data.mdb").read_bytes(), generator))
        for name in ("meta_info.txt", "checksums.txt"):
            if generator.random() < 0.5:
                (folder / name).write_bytes((database / name).read_bytes())
        folders.append(folder)
    return folders


@pytest.mark.parametrize("count", [60, pytest.param(800, marks=[pytest.mark.slow])])
def test_no_damage_reaches_the_library(database, count: int):
    """In a process of its own, whose death would be seen."""
    folders = copies(database, count)
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        output = pool.map_async(read_all, folders).get(240)
    assert {line.count("\n") for line in output} == {0}
    told = [line.startswith(f"{folder}") for line, folder in zip(output, folders, strict=True)]
    assert sum(told) > count / 3
    assert {line for line, is_told in zip(output, told, strict=True) if not is_told} <= {"whole"}


def test_a_flipped_bit_in_a_value_is_told_with_its_key(database):
    storage = LmdbStorage(database)
    value = storage.read("clip/0001")
    content = bytearray((database / "data.mdb").read_bytes())
    content[content.index(value) + 1000] ^= 4
    folder = database.parent / "flipped"
    folder.mkdir()
    (folder / "data.mdb").write_bytes(content)
    for name in ("meta_info.txt", "checksums.txt"):
        (folder / name).write_bytes((database / name).read_bytes())
    harmed = LmdbStorage(folder)
    assert harmed.read("clip/0000") == storage.read("clip/0000")
    with pytest.raises(
        UserError, match=r"flipped:clip/0001: damaged, its content does not match its checksum"
    ):
        harmed.read("clip/0001")
    (folder / "checksums.txt").unlink()
    assert LmdbStorage(folder).read("clip/0001") != value, "as from elsewhere"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(b"0007", b"0008", 1), r"checksums\.txt: damaged"),
        (lambda text: b"", r"checksums\.txt: damaged"),
    ],
)
def test_damaged_checksums_are_told(database, change, message: str):
    file = database / "checksums.txt"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError, match=message):
        LmdbStorage(database)


def test_a_list_may_select_entries_and_name_no_others(database):
    file = database / "meta_info.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[5:7]))
    assert LmdbStorage(database).keys() == ["clip/0005", "clip/0006"]
    file.write_text(lines[5].replace("0005", "0x05"))
    with pytest.raises(UserError, match=r"set: 'clip/0x05' is not among its entries"):
        LmdbStorage(database)


@pytest.mark.parametrize(("place", "value", "message"), [
    (16, b"\0", "not that of an LMDB"),
    (20, b"\2", "version 2"),
    (40, b"\1", "pages of 4097 bytes"),
    (44, b"\x09", "an unsupported layout"),  # a map at an address that the file says
    (92, b"\4", "an unsupported layout"),
])  # fmt: skip
def test_headers_are_read_with_care(database, place: int, value: bytes, message: str):
    content = bytearray((database / "data.mdb").read_bytes())
    content[place : place + 1] = value
    (database / "data.mdb").write_bytes(content)
    with pytest.raises(DamagedPagesError, match=message):
        check_pages(database / "data.mdb")


@pytest.mark.parametrize("key", ["a\nb", "a\r", "a\u2028b", " a", "a\x0cb", "x (1,2,3) 1"])
def test_a_key_that_its_list_would_not_give_back_is_refused(tmp_path, key: str):
    with pytest.raises(UserError, match=r"new: the key .* cannot stand in meta_info.txt; rename the file"):
        write_lmdb(tmp_path / "new", [(key, b"x", (1, 1, 1))])
    assert not list(tmp_path.iterdir())
