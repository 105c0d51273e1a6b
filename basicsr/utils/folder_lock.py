"""One run at a time in a folder, on any machine.

A lock is a file that names its owner and is touched every few seconds. On the owner's machine a dead owner is
known at once. Seen from another machine it is dead when the file has not changed for a minute; this needs
neither synchronized clocks nor locks of the file system, which on shared disks are often missing or hold for
one machine only.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from basicsr.utils.errors import UserError
from basicsr.utils.files import temporary_beside
from basicsr.utils.interruption import end_workers
from basicsr.utils.log import logger
from basicsr.utils.processes import Process

_TOUCHED_EVERY = 5.0  # seconds
_DEAD_AFTER = 60.0
_LOOKED_EVERY = 0.5


class FolderLock:
    """The lock of a folder, held until `release` or the end of the process.

    Args:
        file: of the lock; parent folders are made.
        folder: that it locks, as errors name it.
        hint: what a refused user can do.
        dead_after: seconds without a change until the owner on another machine counts as dead.
        touched_every: seconds between two changes of its own file.

    Raises:
        UserError: another process holds it.
    """

    def __init__(
        self,
        file: Path,
        folder: Path,
        hint: str,
        dead_after: float = _DEAD_AFTER,
        touched_every: float = _TOUCHED_EVERY,
    ) -> None:
        self.file = file.absolute()
        self.folder = folder
        self._touched_every = touched_every
        self._own = json.dumps(asdict(Process.this())).encode()
        self._released = threading.Event()
        self._made_parent = not file.parent.is_dir()
        file.parent.mkdir(parents=True, exist_ok=True)
        while not self._create():
            found = _read(file)
            if found is None:
                continue
            if found != self._own:  # else an earlier run of this very process
                owner = _living_owner(file, dead_after)
                if owner is not None:
                    raise UserError(f"{folder}: {owner} writes there; wait for its end, or {hint}")
            self._clear(found)
        threading.Thread(target=self._keep, name="lock", daemon=True).start()

    def release(self) -> None:
        """Release the folder and remove the file."""
        if self._released.is_set():
            return
        self._released.set()
        if _read(self.file) == self._own:
            self.file.unlink(missing_ok=True)
            if self._made_parent:
                with suppress(OSError):  # not empty
                    self.file.parent.rmdir()

    def _create(self) -> bool:
        try:
            number = os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(number, "wb") as file:
            file.write(self._own)
        return True

    def _clear(self, dead: bytes) -> None:
        """Remove the lock of a dead owner, unless another process has done so and holds it now."""
        aside = temporary_beside(self.file)
        with suppress(FileNotFoundError):
            self.file.rename(aside)
            if _read(aside) != dead and not self.file.exists():
                aside.rename(self.file)
            aside.unlink(missing_ok=True)

    def _keep(self) -> None:
        """Touch the file while this process lives, and end when another one holds the lock.

        That one may have taken this process for dead, when it was stopped for long.
        """
        while not self._released.wait(self._touched_every):
            with suppress(OSError):
                found = _read(self.file)
                if found is None:
                    self._create()
                elif found == self._own:
                    os.utime(self.file)
                elif not self._released.is_set():
                    self._end(found)

    def _end(self, found: bytes) -> None:
        what = f"{_owner(found) or 'another process'} has taken over, since this one was stopped for long"
        sys.stdout.flush()
        print(f"error: {self.folder}: {what}", file=sys.stderr, flush=True)  # noqa: T201
        end_workers()
        os._exit(1)


def _living_owner(file: Path, dead_after: float) -> str | None:
    """The owner of a lock, if any. For one on another machine, waits to see whether it touches the file."""
    found = _read(file)
    owner = None if found is None else _owner(found)
    if found is None:
        return None
    if owner is not None and owner.state != "unknown":
        return None if owner.state == "ended" else str(owner)
    who = str(owner or "a process that has not written its name yet")
    logger().info(f"{file}: held by {who}; checking whether it is alive")
    touched, waited = _touched(file), 0.0
    while waited < dead_after:
        time.sleep(_LOOKED_EVERY)
        waited += _LOOKED_EVERY
        now = _touched(file)
        if now is None:
            return None
        if now != touched:
            return who
    return None


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _owner(content: bytes) -> Process | None:
    try:
        return Process(**json.loads(content))
    except (ValueError, TypeError):
        return None


def _touched(file: Path) -> tuple[int, bytes] | None:
    """What changes with a touch; the file is opened, as network file systems remember times for a while."""
    try:
        with file.open("rb") as opened:
            return os.fstat(opened.fileno()).st_mtime_ns, opened.read()
    except FileNotFoundError:
        return None
