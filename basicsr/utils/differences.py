"""What differs between two nested dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differing(
    before: Mapping[str, Any], now: Mapping[str, Any], where: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """``(name, value before, value now)`` for each difference; names of inner ones are ``outer.inner``.

    Args:
        where: what the names begin with.
    """
    for name in [*now, *(name for name in before if name not in now)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differing(old, new, f"{where}{name}.")
        elif old != new:
            yield f"{where}{name}", old, new


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The same in words: ``name: before -> now``."""
    return (f"{name}: {old} -> {new}" for name, old, new in differing(before, now))
