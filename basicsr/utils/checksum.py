"""One kind of checksum for everything that is written to be read later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

DIGITS = 32
ENTRY = "checksum"
"""Its name in JSON."""


def checksum(data: bytes) -> str:
    """`DIGITS` hexadecimal digits that change with any bit of ``data``."""
    return checksum_of_parts([data])


def checksum_of_parts(parts: Iterable[bytes]) -> str:
    """The checksum of all ``parts``, one after the other."""
    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content for JSON with an `ENTRY` that is the checksum of the others."""
    return {**content, ENTRY: _of_content(content)}


def without_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `with_checksum`; content without an `ENTRY` is returned unchanged.

    Raises:
        ValueError: the content does not match its checksum.
    """
    rest = {key: value for key, value in content.items() if key != ENTRY}
    if ENTRY in content and content[ENTRY] != _of_content(rest):
        raise ValueError("its content does not match its checksum")
    return rest


def _of_content(content: Mapping[str, Any]) -> str:
    return checksum(json.dumps(content, sort_keys=True).encode())
