"""A folder of files as a mapping from key to bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from basicsr.utils.errors import UserError


class DiskStorage:
    """Files below a folder; the key is the relative path without suffix, ``/`` between folders.

    Hidden files and folders are skipped. Links to folders are followed, but no folder is read twice. The
    folder is listed once, on construction.

    Args:
        folder: searched with its subfolders.
        suffixes: the files that count, e.g. ``(".png", ".jpg")``, in upper or lower case.

    Raises:
        UserError: no such folder, no such file in it, or two files with the same key.
    """

    def __init__(self, folder: str | Path, suffixes: tuple[str, ...]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such folder; check the path")
        wanted = {suffix.lower() for suffix in suffixes}
        self._paths: dict[str, Path] = {}
        for path in _visible_files(self.folder):
            if path.suffix.lower() in wanted:
                key = path.relative_to(self.folder).with_suffix("").as_posix()
                if key in self._paths:
                    raise UserError(f"{self._paths[key]} and {path} have one key, '{key}'; keep one of them")
                self._paths[key] = path
        if not self._paths:
            is_lmdb = (self.folder / "data.mdb").is_file()
            way_on = "it is an LMDB, choose the backend lmdb" if is_lmdb else "check the path"
            raise UserError(f"{self.folder}: no {', '.join(sorted(wanted))} file in it; {way_on}")

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted(self._paths)

    def read(self, key: str) -> bytes:
        """The file.

        Raises:
            UserError: no such key, or the file cannot be read.
        """
        if key not in self._paths:
            raise UserError(f"{self.folder}: no file for '{key}'; check that the folders belong together")
        try:
            return self._paths[key].read_bytes()
        except OSError as error:
            raise UserError(f"{self._paths[key]}: cannot be read ({error.strerror}); check it") from error

    def describe(self, key: str) -> str:
        """The path of the file, or where it would be."""
        return str(self._paths.get(key, self.folder / key))


def _visible_files(folder: Path) -> Iterator[Path]:
    seen = {os.path.realpath(folder)}
    for place, subfolders, names in os.walk(folder, followlinks=True):
        # os.walk enters what is left in the list
        visible = sorted(name for name in subfolders if not name.startswith("."))
        subfolders.clear()
        for name in visible:
            real = os.path.realpath(os.path.join(place, name))
            if real not in seen:
                seen.add(real)
                subfolders.append(name)
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
