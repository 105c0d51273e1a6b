"""What differs between two nested dictionaries, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differences(before: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """``name: before -> now`` for each difference; names of inner ones are ``outer.inner``.

    Args:
        where: what the names begin with.
    """
    for name in [*now, *(name for name in before if name not in now)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{where}{name}.")
        elif old != new:
            yield f"{where}{name}: {old} -> {new}"
