"""A folder of files as a mapping from key to bytes."""

from __future__ import annotations

from pathlib import Path

from basicsr.storage.base import as_key
from basicsr.storage.lmdb_store import is_lmdb
from basicsr.utils.errors import UserError
from basicsr.utils.folders import find_files
from basicsr.utils.reading import LARGEST_IMAGE, read_file


class DiskStorage:
    """Files below a folder; the key is the relative path without suffix, ``/`` between folders.

    `basicsr.utils.folders` defines which files these are. The folder is listed once, on construction.

    Args:
        folder: searched with its subfolders.
        suffixes: the files that count, e.g. ``(".png", ".jpg")``, in upper or lower case.

    Raises:
        UserError: no such folder, no such file in it, or two files with the same key.
    """

    def __init__(self, folder: str | Path, suffixes: tuple[str, ...]) -> None:
        self.folder = Path(folder)
        self._paths: dict[str, Path] = {}
        for path in find_files(self.folder, suffixes):
            key = as_key(path.relative_to(self.folder).with_suffix("").as_posix())
            if key in self._paths:
                same = as_key(str(path)) == as_key(str(self._paths[key]))
                why = ", as they differ in their Unicode form alone" if same else ""
                raise UserError(f"{self._paths[key]} and {path} share the key '{key}'{why}; keep one of them")
            self._paths[key] = path
        if not self._paths:
            packed = is_lmdb(self.folder)
            hint = "it is an LMDB, choose the backend lmdb" if packed else "check the path"
            wanted = ", ".join(sorted({suffix.lower() for suffix in suffixes}))
            raise UserError(f"{self.folder}: no {wanted} file in it; {hint}")

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted(self._paths)

    def read(self, key: str) -> bytes:
        """The file.

        Raises:
            UserError: no such key, or the file cannot be read.
        """
        path = self._paths.get(as_key(key))
        if path is None:
            raise UserError(f"{self.folder}: no file for '{key}'; check that the folders belong together")
        try:
            return read_file(path, LARGEST_IMAGE)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); check it") from error

    def describe(self, key: str) -> str:
        """The path of the file, or where it would be."""
        return str(self._paths.get(as_key(key), self.folder / key))
