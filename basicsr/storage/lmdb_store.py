"""An LMDB as a mapping from key to bytes, in the layout of BasicSR and SAM-Deblur.

The folder holds ``data.mdb``, where the key is the file name without suffix and the value the encoded file,
and ``meta_info.txt`` with a line ``stem.png (h,w,c) level`` an entry.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr.storage.base import as_key
from basicsr.storage.meta_info import read_names
from basicsr.utils.errors import UserError
from basicsr.utils.files import temporary_beside

if TYPE_CHECKING:
    import lmdb

DATA = "data.mdb"
META = "meta_info.txt"

# LMDB refuses to open a folder twice in one process, so its storages share what this process has open.
_opened: dict[Path, tuple[int, lmdb.Environment]] = {}


class LmdbStorage:
    """Entries of an LMDB folder.

    The database is opened at the first look into it, once in each process. Keys come from ``meta_info.txt``,
    or from the database where that file is absent.

    Raises:
        UserError: no LMDB at ``path``, or one without entries.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / DATA).is_file():
            raise UserError(f"{self.path}: not an LMDB folder (no {DATA} in it); check path and backend")
        meta = self.path / META
        names = read_names(meta) if meta.is_file() else _names_in_database(self.path)
        self._names = {as_key(name): name for name in names}
        if not self._names:
            raise UserError(f"{self.path}: the LMDB has no entries; make it again")

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted(self._names)

    def read(self, key: str) -> bytes:
        """The encoded file.

        Raises:
            UserError: no such key, or the database cannot be opened.
        """
        with _environment(self.path).begin() as transaction:
            data = transaction.get(self._names.get(as_key(key), key).encode())
        if data is None:
            raise UserError(f"{self.path}: no entry '{key}'; make the LMDB again from the complete folder")
        return data

    def describe(self, key: str) -> str:
        """Folder and key."""
        return f"{self.path}:{key}"


def _names_in_database(path: Path) -> list[str]:
    with _environment(path).begin() as transaction, transaction.cursor() as cursor:
        return [key.decode() for key in cursor.iternext(keys=True, values=False)]


def _environment(path: Path) -> lmdb.Environment:
    """The database in the folder ``path``, open in this process."""
    import lmdb

    place = path.resolve()
    process, environment = _opened.get(place, (os.getpid(), None))
    if environment is not None and process != os.getpid():
        environment.close()  # it came along with a fork; the parent keeps its own
        environment = None
    if environment is None:
        try:
            environment = lmdb.open(str(place), readonly=True, lock=False, readahead=False)
        except lmdb.Error as error:
            raise UserError(f"{path}: the LMDB cannot be opened ({error}); make it again") from error
        pages = environment.info()["last_pgno"] + 1
        if pages * environment.stat()["psize"] > (place / DATA).stat().st_size:
            environment.close()
            # reading behind the end of the file would kill the process
            raise UserError(f"{path}: the LMDB is cut short; copy or make it again")
        _opened[place] = os.getpid(), environment
    return environment


def write_lmdb(
    path: str | Path, items: Iterable[tuple[str, bytes, tuple[int, int, int]]], level: int = 1
) -> None:
    """Write a new LMDB folder; it gets its name when it is complete.

    Args:
        items: key, encoded file, and the shape (h, w, c) of what it decodes to.
        level: PNG compression level of the files, which the published layout notes in ``meta_info.txt``.

    Raises:
        UserError: ``path`` exists, a key occurs twice, or LMDB refuses a key or finds the disk full.
    """
    import lmdb

    path = Path(path)
    if path.exists():
        raise UserError(f"{path}: exists already; delete it or choose another name")
    temporary = temporary_beside(path)
    temporary.mkdir(parents=True)
    try:
        with (
            lmdb.open(str(temporary), lock=False, sync=False) as environment,
            open(temporary / META, "w", encoding="utf-8") as meta,
        ):
            for key, data, (height, width, channels) in items:
                if not _put(environment, key.encode(), data):
                    raise UserError(f"{path}: the key '{key}' occurs twice; rename one of the files")
                meta.write(f"{key}.png ({height},{width},{channels}) {level}\n")
            environment.sync(True)
        os.replace(temporary, path)
    except lmdb.Error as error:
        raise UserError(f"{path}: LMDB cannot write it ({error}); check keys and free space") from error
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
