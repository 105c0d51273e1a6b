"""Who a process is, so that others can tell whether it is still there."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ENDED = "none"
"""The value of `started_at` for a process that does not exist."""


@dataclass(frozen=True)
class Process:
    """A process, identified uniquely.

    Args:
        host: name of its machine, for people.
        machine: see `this_machine`.
        pid: its number there.
        started: see `started_at`.
    """

    host: str
    machine: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        return cls.here(os.getpid())

    @classmethod
    def here(cls, pid: int) -> Process:
        """The process of this machine that has the number now."""
        return cls(platform.node(), this_machine(), pid, started_at(pid))

    @property
    def state(self) -> Literal["running", "stopped", "ended", "unknown"]:
        """What it does now; that of another machine's process is unknown."""
        if self.machine != this_machine():
            return "unknown"
        if self.started == ENDED or started_at(self.pid) != self.started:
            return "ended"
        fields = _fields(self.pid)
        return "stopped" if fields and fields[0] == "T" else "running"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@functools.cache
def this_machine() -> str:
    """This machine since it was started, or the container on it, among those that share a disk."""
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8"))
        facts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.blake2b(" ".join(facts).encode(), digest_size=4).hexdigest()


def started_at(pid: int) -> str:
    """When a process was started, so that none is taken for another of its number; `ENDED` without one."""
    fields = _fields(pid)
    if fields:
        return ENDED if fields[0] in "ZX" else f"{int(fields[19]):x}"
    if Path("/proc/self/stat").exists():
        return ENDED
    if os.name == "posix":
        with suppress(PermissionError):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return ENDED
    return "0"


def _fields(pid: int) -> list[str]:
    """What Linux reports of a process, from its state on; empty where it reports nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()
