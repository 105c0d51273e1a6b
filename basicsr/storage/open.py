"""The storage behind a path of an option file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from basicsr.storage.base import Storage
from basicsr.storage.disk import DiskStorage
from basicsr.storage.lmdb_store import LmdbStorage


def open_storage(root: str | Path, backend: Literal["disk", "lmdb"], suffixes: tuple[str, ...]) -> Storage:
    """The storage at ``root``.

    Args:
        suffixes: files that count on disk, e.g. ``(".png", ".jpg")``; LMDB holds only what was put in.

    Raises:
        UserError: nothing there that the backend can read.
    """
    return LmdbStorage(root) if backend == "lmdb" else DiskStorage(root, suffixes)
