"""An LMDB as a mapping from key to bytes, in the layout of BasicSR and SAM-Deblur.

The folder holds ``data.mdb``, where the key is the file name without suffix and the value the encoded file,
and ``meta_info.txt`` with a line ``stem.png (h,w,c) level`` per entry. Those written here have a third file,
which others ignore: ``checksums.txt`` has a line ``<checksum of the value> <key>`` per entry, below the
checksum of these lines.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr.storage.base import as_key
from basicsr.storage.lmdb_pages import DamagedPagesError, check_pages
from basicsr.storage.meta_info import meta_line, read_names
from basicsr.utils.checksum import checksum
from basicsr.utils.errors import UserError
from basicsr.utils.files import temporary_beside

if TYPE_CHECKING:
    import lmdb

DATA = "data.mdb"
META = "meta_info.txt"
CHECKSUMS = "checksums.txt"
_AGAIN = "copy or make it again"

# LMDB refuses to open a folder twice in one process, so its storages share what this process has open.
_opened: dict[Path, tuple[int, lmdb.Environment]] = {}


class LmdbStorage:
    """Entries of an LMDB folder.

    The database is opened at the first look into it, once in each process. Keys come from ``meta_info.txt``,
    or from the database where that file is absent. Values are compared with ``checksums.txt``, where that is
    there, when an instance reads them for the first time; later that would be most of the time.

    Raises:
        UserError: no LMDB at ``path``, or one without entries, or a damaged one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._place = self.path.resolve()  # takes as long as reading an entry
        if not (self.path / DATA).is_file():
            raise UserError(f"{self.path}: not an LMDB folder (no {DATA} in it); check path and backend")
        meta = self.path / META
        names = read_names(meta) if meta.is_file() else _names_in_database(self.path, self._place)
        self._names = {as_key(name): name for name in names}
        if not self._names:
            raise UserError(f"{self.path}: the LMDB has no entries; make it again")
        self._unchecked = _read_checksums(self.path)
        if self._unchecked and (unknown := [name for name in names if name not in self._unchecked]):
            raise UserError(f"{self.path}: '{unknown[0]}' is not among its entries; {_AGAIN}")

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted(self._names)

    def read(self, key: str) -> bytes:
        """The encoded file.

        Raises:
            UserError: no such key, the database cannot be opened, or the entry is damaged.
        """
        name = self._names.get(as_key(key), key)
        data = _value(self.path, self._place, name)
        if data is None:
            raise UserError(f"{self.path}: no entry '{key}'; make the LMDB again from the complete folder")
        if name in self._unchecked:
            if checksum(data) != self._unchecked[name]:
                what = "damaged, its content does not match its checksum"
                raise UserError(f"{self.describe(key)}: {what}; copy or make the LMDB again")
            del self._unchecked[name]
        return data

    def describe(self, key: str) -> str:
        """Folder and key."""
        return f"{self.path}:{key}"


def _names_in_database(path: Path, place: Path) -> list[str]:
    import lmdb

    try:
        with _environment(path, place).begin() as transaction, transaction.cursor() as cursor:
            return [key.decode() for key in cursor.iternext(keys=True, values=False)]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: the LMDB has a key that is not UTF-8 text; {_AGAIN}") from error
    except lmdb.Error as error:
        raise UserError(f"{path}: the keys of the LMDB cannot be read ({error}); {_AGAIN}") from error


def _value(path: Path, place: Path, name: str) -> bytes | None:
    import lmdb

    try:
        with _environment(path, place).begin() as transaction:
            return transaction.get(name.encode())
    except lmdb.Error as error:
        raise UserError(f"{path}: the entry '{name}' cannot be read ({error}); {_AGAIN}") from error


def _read_checksums(path: Path) -> dict[str, str]:
    """Checksums of the values by key; none where the LMDB comes from elsewhere."""
    file = path / CHECKSUMS
    if not file.is_file():
        return {}
    stated, _, lines = file.read_bytes().partition(b"\n")
    if stated.decode(errors="replace") != checksum(lines):
        raise UserError(f"{file}: damaged; {_AGAIN}, or delete this file to read without checksums")
    pairs = (line.partition(" ") for line in lines.decode().splitlines())
    return {key: digits for digits, _, key in pairs}


def _environment(path: Path, place: Path) -> lmdb.Environment:
    """The database in the folder ``path``, resolved ``place``, open in this process."""
    import lmdb

    process, environment = _opened.get(place, (os.getpid(), None))
    if environment is not None and process != os.getpid():
        environment.close()  # inherited by a fork; the parent keeps its own
        environment = None
    if environment is None:
        try:
            check_pages(place / DATA)
            environment = lmdb.open(str(place), readonly=True, lock=False, readahead=False)
        except (DamagedPagesError, lmdb.Error, OSError) as error:
            raise UserError(f"{path}: the LMDB cannot be opened ({error}); {_AGAIN}") from error
        _opened[place] = os.getpid(), environment
    return environment


def is_lmdb(folder: Path) -> bool:
    """Whether a folder holds an LMDB."""
    return (folder / DATA).is_file()


def write_lmdb(
    path: str | Path, items: Iterable[tuple[str, bytes, tuple[int, int, int]]], level: int = 1
) -> None:
    """Write a new LMDB folder; it gets its name when it is complete.

    Args:
        items: key, encoded file, and the shape (h, w, c) of what it decodes to.
        level: PNG compression level of the files, which the published layout notes in ``meta_info.txt``.

    Raises:
        UserError: ``path`` exists, a key occurs twice or cannot stand in a line of ``meta_info.txt``, or LMDB
            refuses a key, or the disk is full or read-only.
    """
    import lmdb

    path = Path(path)
    if path.exists():
        raise UserError(f"{path}: exists already; delete it or choose another name")
    temporary = temporary_beside(path)
    try:
        temporary.mkdir(parents=True)
        with (
            lmdb.open(str(temporary), lock=False, sync=False) as environment,
            open(temporary / META, "w", encoding="utf-8") as meta,
        ):
            lines = []
            for key, data, shape in items:
                line = meta_line(key, shape, level)
                if line is None:
                    raise UserError(f"{path}: the key {key!r} cannot stand in {META}; rename the file")
                if not _put(environment, key.encode(), data):
                    raise UserError(f"{path}: the key '{key}' occurs twice; rename one of the files")
                meta.write(f"{line}\n")
                lines.append(f"{checksum(data)} {key}\n")
            environment.sync(True)
        entries = "".join(lines).encode()
        (temporary / CHECKSUMS).write_bytes(checksum(entries).encode() + b"\n" + entries)
        os.replace(temporary, path)
    except (lmdb.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be written ({reason}); check keys and free space") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(environment: lmdb.Environment, key: bytes, data: bytes) -> bool:
    """Add an entry, growing the database as needed; False when the key is taken."""
    import lmdb

    while True:
        try:
            with environment.begin(write=True) as transaction:
                return transaction.put(key, data, overwrite=False)
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])
