"""Programs that are timed in processes of their own, each with its own threads and its own memory.

Rounds alternate between the processes, so a slow minute hits all; those that wait are stopped, as some
programs keep their threads busy between two calls.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from basicsr.utils.errors import UserError

_READY, _STOP = "ready", "stop"


@dataclass
class Contestant:
    """A process that waits to be timed.

    Attributes:
        difference: of its result from the expected one.
        first: seconds of its first call, which may compile.
        seconds: of each round.
    """

    process: subprocess.Popen[str]
    difference: float
    first: float
    seconds: list[float] = field(default_factory=list)

    def time(self) -> None:
        """One more round."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.process.stdout.readline()))
        self.pause()

    def pause(self) -> None:
        """Stop it until its next round."""
        self.process.send_signal(signal.SIGSTOP)


@contextmanager
def started(name: str, command: Sequence[str]) -> Iterator[Contestant]:
    """A contestant that has warmed up: a Python file and its words, which calls `serve`.

    Raises:
        UserError: it ends before.
    """
    process = subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        words = next((line for line in process.stdout if line.startswith(_READY)), "").split()
        if not words:
            raise UserError(f"{name}: could not be started; its error is above")
        contestant = Contestant(process, float(words[1]), float(words[2]))
        contestant.pause()
        yield contestant
        process.send_signal(signal.SIGCONT)
        process.stdin.write(f"{_STOP}\n")
        process.stdin.flush()
    finally:
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        process.wait()


def serve(
    work: Callable[[], object],
    difference: float,
    first: float,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """What a contestant does: one call to warm up, then one for each line of input, timed by ``clock``.

    Args:
        difference: of its result from the expected one.
        first: seconds of its first call.
    """
    work()
    print(_READY, difference, first, flush=True)
    for line in sys.stdin:
        if line.strip() == _STOP:
            return
        began = clock()
        work()
        print(clock() - began, flush=True)
