"""Signals that ask a program to exit, and in training to save first.

SIGTERM and SIGINT are those of schedulers and of Ctrl+C; SIGUSR1 is the one that Slurm sends ahead
(``--signal=USR1@120``).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType

from basicsr.utils.errors import UserError

RESUME_ME = 75
"""Exit code of a training run that was interrupted and continues when it is started again (EX_TEMPFAIL)."""

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)]
# A signal may reach a process twice: by itself, and passed on by torchrun, by timeout or by Slurm.
_ECHOES_WITHIN = 1.0
_AGAIN_AFTER = 0.1


class Interrupted(BaseException):
    """A signal asks to exit; not an Exception, so nothing handles it as an error.

    Args:
        number: of the signal.
        is_saved: whether the program continues from here when it is started again.
    """

    def __init__(self, number: int, is_saved: bool = False) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number
        self.exit_code = RESUME_ME if is_saved else 128 + number


class Interruption:
    """The first signal that asks to exit. A second one ends the program at once.

    Attributes:
        number: of the signal; None until it comes.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._came = 0.0
        self._raises = False

    @property
    def is_asked(self) -> bool:
        """Whether the signal has come."""
        return self.number is not None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Inside, a signal is noted in ``number``, and the program exits when it can."""
        with self._listening(raises=False):
            yield

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Inside, a signal raises `Interrupted`, so unfinished work is cleaned up."""
        with self._listening(raises=True):
            yield

    @contextmanager
    def _listening(self, raises: bool) -> Iterator[None]:
        self._raises = raises
        if threading.current_thread() is not threading.main_thread():
            yield  # Python handles signals in the main thread only
            return
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._hear) for number in heard}
        for handler in before.values():
            outer = getattr(handler, "__self__", None)
            # What was raised there may have been lost in code that catches all.
            if isinstance(outer, Interruption) and outer.number is not None:
                self.number, self._came = outer.number, outer._came
        try:
            yield
        finally:
            if self.number is None or raises:  # the program that was asked to exit is about to
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None and self._raises and _is_importing(frame):
            # A library whose import is cut short may abort the process; the signal comes again.
            again = threading.Timer(_AGAIN_AFTER, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
        elif self.number is None:
            self.number, self._came = number, now
            if self._raises:
                raise Interrupted(number)
        elif now - self._came > _ECHOES_WITHIN:
            os._exit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def serve_parent() -> None:
    """In a worker process: the parent handles signals, and the worker ends with it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    for number in _SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        # Schedulers send it to every process, but the parent ends its workers by it, too.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_when_told, args=(parent.pid,), daemon=True).start()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def end_workers() -> None:
    """Kill the worker processes of this one before it ends, as it would wait for a stopped one."""
    if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch raises an error there
    for child in multiprocessing.active_children():
        child.kill()


def _end_when_told(parent: int | None) -> None:
    if sys.platform == "linux":
        while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
            pass
        os._exit(1)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def explaining_workers() -> Iterator[None]:
    """Inside, a killed worker, which PyTorch reports at any moment, is an error of one line."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        # a mapping that has no page left ends in a bus error
        raise worker_killed("shared memory (/dev/shm)" if "Bus error" in str(error) else "memory") from error


def worker_killed(memory: str = "memory") -> UserError:
    """The error for a lost process that loads data; ``memory``: which kind most likely ran out."""
    what = f"a process that loads data was killed, most likely because {memory} ran out"
    hint = "start again with a smaller num_worker_per_gpu; training continues with --auto_resume"
    return UserError(f"{what}; {hint}")
