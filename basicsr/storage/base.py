"""What a storage is: encoded files as bytes by key, whatever holds them."""

from __future__ import annotations

import unicodedata
from typing import Protocol


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
