"""What a storage is: encoded files as bytes by key, whatever holds them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal, Protocol


class Storage(Protocol):
    """Keys are file names without suffix, ``/`` between folders, in the form of `as_key`.

    Any other Unicode form of a key means the same. Instances can be pickled.
    """

    def keys(self) -> list[str]:
        """All keys, sorted."""
        ...

    def read(self, key: str) -> bytes:
        """The encoded file.

        Raises:
            UserError: it is not there or cannot be read.
        """
        ...

    def describe(self, key: str) -> str:
        """Where ``key`` is, or would be, for messages."""
        ...


def as_key(name: str) -> str:
    """A name in Unicode's composed form (NFC); macOS writes ``é`` as two characters, most others as one."""
    return unicodedata.normalize("NFC", name)


def open_storage(root: str | Path, backend: Literal["disk", "lmdb"], suffixes: tuple[str, ...]) -> Storage:
    """The storage at ``root``.

    Args:
        suffixes: files that count on disk, e.g. ``(".png", ".jpg")``; LMDB holds only what was put in.

    Raises:
        UserError: nothing there that the backend can read.
    """
    if backend == "lmdb":
        from basicsr.storage.lmdb_store import LmdbStorage

        return LmdbStorage(root)
    from basicsr.storage.disk import DiskStorage

    return DiskStorage(root, suffixes)
