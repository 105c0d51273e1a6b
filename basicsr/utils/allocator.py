"""What the C library does with freed memory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

# Numbers of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_LARGEST_INT = (1 << 31) - 1
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")
_TUNABLES = ("glibc.malloc.mmap", "glibc.malloc.trim")


def keep_freed_memory() -> None:
    """Have this process reuse freed memory instead of returning it to the system at once (glibc only).

    The features of a large image exceed what glibc keeps, so by default each of them is mapped anew and the
    system clears its pages first, which takes much of the time of NAFNet on a CPU (docs/benchmarks.md). What
    is kept counts as used by this process until `return_freed_memory`.

    Does nothing where the environment sets ``MALLOC_TRIM_THRESHOLD_`` or one of its relatives, see
    mallopt(3), or the like in ``GLIBC_TUNABLES``.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if any(name in os.environ for name in _VARIABLES) or any(name in tunables for name in _TUNABLES):
        return
    if (set_option := _from_libc("mallopt")) is not None:
        set_option(_MMAP_MAX, 0)
        set_option(_TRIM_THRESHOLD, _LARGEST_INT)


def return_freed_memory() -> None:
    """Return freed memory to the system (glibc only)."""
    if (trim := _from_libc("malloc_trim")) is not None:
        trim(0)


@cache
def _from_libc(name: str) -> Callable[..., Any] | None:
    try:
        found: Callable[..., Any] | None = getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # Windows has no such library
        return None
    return found
