"""Pairing of files by key (path without suffix), never by position in a listing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from basicsr.utils.errors import UserError

_SHOWN = 10


def templated(key: str, template: str) -> str:
    """``filename_tmpl`` applied to the last part of a key: ``("clip/7", "{}_blur")`` -> ``"clip/7_blur"``."""
    path = PurePosixPath(key)
    return str(path.with_name(template.replace("{}", path.name)))


def require_same(expected: Iterable[str], found: Iterable[str], left: str, right: str) -> None:
    """Check that two folders hold the same keys.

    Args:
        expected: keys that ``left`` requires.
        found: keys in ``right``.
        left: folder of ``expected``, for the error.
        right: folder of ``found``, for the error.

    Raises:
        UserError: in one line, how many keys are missing on each side, and the first ten of them.
    """
    expected_set, found_set = set(expected), set(found)
    parts = []
    for missing, place, other in (
        (expected_set - found_set, right, left),
        (found_set - expected_set, left, right),
    ):
        if missing:
            names = ", ".join(sorted(missing)[:_SHOWN]) + (", .." if len(missing) > _SHOWN else "")
            parts.append(f"{place} lacks {len(missing)} of {other}: {names}")
    if parts:
        raise UserError("files do not pair by name: " + "; ".join(parts))
