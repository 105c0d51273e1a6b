"""Plain values of others (blocks, lists, numbers, text), which may be nested without end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def require_small_tree(value: Any, deepest: int, most_parts: int, largest_number: int) -> None:
    """Check plain values; what is shared counts as often as it is met.

    Raises:
        ValueError: nested deeper than ``deepest``, more than ``most_parts`` values, or a whole number whose
            absolute value is above ``largest_number``; a phrase.
    """
    parts = 1
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > deepest:
            raise ValueError(f"parts that are nested more than {deepest} deep")
        if isinstance(item, int) and abs(item) > largest_number:
            raise ValueError(f"a number beyond {largest_number:,}")
        if not isinstance(item, (Mapping, list, tuple)):
            continue
        parts += len(item)
        if parts > most_parts:
            raise ValueError(f"more than {most_parts:,} parts")
        inner = item.values() if isinstance(item, Mapping) else item
        waiting += [(part, depth + 1) for part in inner]
