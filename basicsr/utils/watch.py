"""The processes of one run watch each other, so none waits silently for one that is gone.

Each of them has a connection to the first one and reports over it, twice a second, that it is alive and how
many collectives it has begun. The first process thus knows which one keeps the others waiting, and tells all
when one fails, dies or stops; then they end, with one line that names the cause. Collectives alone do not do
that: they wait for minutes and then name nobody, and no exception reaches a process that waits in one.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch.distributed as dist

from basicsr.utils.dist import Ranks, collectives_begun
from basicsr.utils.errors import ReportedError, UserError
from basicsr.utils.interruption import RESUME_ME, Interrupted, end_workers
from basicsr.utils.log import logger
from basicsr.utils.processes import Process

_PERIOD = 0.5  # seconds between two signs of life
_GRACE = 3.0  # seconds in which the main thread may end by itself, which reports more
_LONGEST_GREETING = 10_000  # bytes
_PACKAGE = Path(__file__).resolve().parents[1]
_HINT = "start again, a training run with --auto_resume"


@dataclass(frozen=True)
class Limits:
    """How long processes wait for each other, in seconds.

    Args:
        join: until all have come together at the start.
        silence: without a sign of life from one; a stopped or dead one gives none.
        behind: until the last one begins the collective that the others wait in.
        warn_after: until the process that they wait for is named.
    """

    join: float = 300.0
    silence: float = 45.0
    behind: float = 1800.0
    warn_after: float = 60.0


class Connection:
    """Messages, a JSON object a line, to and from one process."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_closed = False
        self._received = b""
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send, unless the other side is gone, which the receiving side notices."""
        with suppress(OSError), self._lock:
            self.sock.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """What has come, after waiting for something; None when the other side is gone."""
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            return None
        if not data:
            return None
        *lines, self._received = (self._received + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def receive_one(self) -> dict[str, Any] | None:
        """The next message alone; None when the other side is gone.

        Raises:
            OSError: it does not come within the time limit of the socket.
            ValueError: it is not a message.
        """
        line = b""
        while not line.endswith(b"\n"):
            byte = self.sock.recv(1)
            if not byte or len(line) > _LONGEST_GREETING:
                return None
            line += byte
        message = json.loads(line)
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """Let the other side see that this one is gone."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.is_closed = True


@dataclass
class Peer:
    """Another process of the run, as this one sees it.

    Args:
        connection: to it.
        process: which one it is.
        silent: seconds since its last sign of life.
        at: collectives that it has begun.
        where: what it does.
        has_left: it ended normally.
    """

    connection: Connection
    process: Process
    silent: float = 0.0
    at: int = 0
    where: str = ""
    has_left: bool = False


@dataclass(frozen=True)
class Verdict:
    """Why the run ends.

    Args:
        text: one line.
        exit_code: of all processes.
        is_reported_here: whether this process is the one of its machine that reports it.
        rank: the process that failed with it; None where it was found by watching.
    """

    text: str
    exit_code: int
    is_reported_here: bool
    rank: int | None = None

    def as_error(self) -> UserError:
        error = (UserError if self.is_reported_here else ReportedError)(self.text)
        error.exit_code = self.exit_code
        return error


class Watch:
    """What one process does in it; without other processes it only watches its launcher.

    Args:
        ranks: of this process.
        peers: by rank: to the first process all others, to the others the first.
        launcher: what the processes of this machine end with; None where there is none.
    """

    def __init__(
        self,
        ranks: Ranks,
        limits: Limits,
        peers: Mapping[int, Peer] | None = None,
        launcher: Process | None = None,
    ) -> None:
        self.ranks = ranks
        self.limits = limits
        self.peers = dict(peers or {})
        self.launcher = launcher
        self._this = Process.this()
        self._changed = threading.Condition()
        self._verdict: Verdict | None = None
        self._gathered: dict[int, dict[int, Any]] = {}  # received values of each `gather`, by rank
        self._gathers = 0
        self._slowest = 0  # collectives that all have begun
        self._waited = 0.0  # seconds that the others have been ahead of it
        self._is_warned = False
        self._has_left = False
        self._is_explaining = False
        self._ends_in = _GRACE
        if self.peers or launcher is not None:
            threading.Thread(target=self._run, name="watch", daemon=True).start()

    def gather(self, value: Any) -> list[Any]:
        """``value``, which JSON can express, of every process, in rank order, on every process.

        It needs no process group, and so can be asked before there is one.

        Raises:
            UserError: another process has failed meanwhile.
        """
        if not self.peers:
            return [value]
        number = self._gathers
        self._gathers += 1
        if self.ranks.is_main:
            self._collect(number, self.ranks.rank, value)
        else:
            self.peers[0].connection.send({"gather": number, "value": value})
        with self._changed:
            self._changed.wait_for(lambda: self._is_complete(number) or self._verdict is not None)
            if not self._is_complete(number):
                assert self._verdict is not None
                raise self._verdict.as_error()
            found = self._gathered.pop(number)
        return [found[rank] for rank in range(self.ranks.world_size)]

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Inside, an error ends the other processes too, and one that another process caused names it."""
        try:
            yield
        except BaseException as error:
            explained = self._explain(error)
            if explained is error:
                raise
            raise explained from error

    def leave(self) -> None:
        """Tell the others that this process ends normally."""
        self._tell({"left": True})  # first, as the thread then closes the connections
        self._has_left = True

    def _explain(self, error: BaseException) -> BaseException:
        if not self.peers or self._has_left:
            return error
        if isinstance(error, Interrupted) and error.exit_code == RESUME_ME:
            self.leave()
            return error
        self._is_explaining = True
        if isinstance(error, UserError):
            return self._fail(error, str(error), error.exit_code)
        cause = self._cause(self.limits.silence + _GRACE if _is_of_group(error) else 2 * _PERIOD)
        if cause is not None:
            self._linger()
            return cause.as_error()
        code = error.exit_code if isinstance(error, Interrupted) else 1
        words = next(iter(str(error).splitlines()), "")
        self._fail(error, f"{type(error).__name__}: {words}", code)
        return error

    def _fail(self, error: BaseException, text: str, exit_code: int) -> BaseException:
        """Tell all; returns what to raise here, so that an error of all is printed once per machine."""
        if self.ranks.is_main:
            self._decide(Verdict(text, exit_code, True, self.ranks.rank), self._this.machine)
        else:
            self._tell({"failed": text, "code": exit_code})
        first = self._cause(_GRACE)
        self._linger()
        return first.as_error() if first is not None and text in first.text else error

    def _cause(self, patience: float) -> Verdict | None:
        """Why the run ends, once that is known."""
        with self._changed:
            self._changed.wait_for(lambda: self._verdict is not None, patience)
            return self._verdict

    def _linger(self) -> None:
        """The first process tells the others what it knows before it ends."""
        until = time.monotonic() + _GRACE
        while self.ranks.is_main and time.monotonic() < until:
            if all(peer.connection.is_closed for peer in self.peers.values()):
                return
            time.sleep(_PERIOD / 10)

    def _is_complete(self, number: int) -> bool:
        return len(self._gathered.get(number, ())) == self.ranks.world_size

    def _tell(self, message: Mapping[str, Any]) -> None:
        for peer in self.peers.values():
            peer.connection.send(message)

    # What follows happens in the thread.

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        for rank, peer in self.peers.items():
            selector.register(peer.connection.sock, selectors.EVENT_READ, rank)
        due = time.monotonic()
        while not self._has_left:
            for key, _ in selector.select(max(0.0, due - time.monotonic())):
                messages = self.peers[key.data].connection.receive()
                for message in messages or ():
                    self._hear(key.data, message)
                if messages is None:
                    selector.unregister(key.fileobj)
                    self._lose(key.data)
            if time.monotonic() >= due:
                due = time.monotonic() + _PERIOD
                self._tick()
        for peer in self.peers.values():
            peer.connection.close()

    def _hear(self, rank: int, message: dict[str, Any]) -> None:
        peer = self.peers[rank]
        peer.silent = 0.0
        if "at" in message:
            peer.at, peer.where = message["at"], message["where"]
        elif "left" in message:
            peer.has_left = True
        elif "gather" in message:
            self._collect(message["gather"], rank, message["value"])
        elif "gathered" in message:
            with self._changed:
                self._gathered[message["gathered"]] = dict(enumerate(message["values"]))
                self._changed.notify_all()
        elif "failed" in message:
            is_elsewhere = peer.process.machine != self._this.machine
            self._decide(
                Verdict(message["failed"], message["code"], is_elsewhere, rank), peer.process.machine
            )
        elif "verdict" in message:
            is_own = message["rank"] == self.ranks.rank
            is_elsewhere = message["machine"] != self._this.machine
            reports = is_own or (is_elsewhere and self.ranks.local_rank == 0)
            self._decide(Verdict(message["verdict"], message["code"], reports, message["rank"]))

    def _collect(self, number: int, rank: int, value: Any) -> None:
        with self._changed:
            self._gathered.setdefault(number, {})[rank] = value
            is_complete = self._is_complete(number)
            values = [item for _, item in sorted(self._gathered[number].items())]
            self._changed.notify_all()
        if is_complete:
            self._tell({"gathered": number, "values": values})

    def _lose(self, rank: int) -> None:
        peer = self.peers[rank]
        peer.connection.close()
        if not peer.has_left and not self._has_left:
            what = f"rank {rank} ({peer.process}) ended silently, most likely killed because memory ran out"
            self._find(what)

    def _find(self, what: str) -> None:
        """Decide that the run ends because of something found by watching."""
        # Those that lose the first process all find that; one of each machine reports it.
        first_here = 0
        if not self.ranks.is_main and self.peers[0].process.machine == self._this.machine:
            first_here = 1
        reports = self.ranks.is_main or self.ranks.local_rank == first_here
        self._decide(Verdict(f"{what}; {_HINT}", 1, reports), self._this.machine)

    def _decide(self, verdict: Verdict, machine: str = "") -> None:
        """Take the first verdict, and from the first process tell it to all.

        Args:
            machine: where it has been printed.
        """
        with self._changed:
            if self._verdict is not None:
                return
            is_of_other = verdict.rank not in (None, self.ranks.rank)
            who = f"rank {verdict.rank}: " if is_of_other else ""
            self._verdict = replace(verdict, text=who + verdict.text)
            self._changed.notify_all()
        if self.ranks.is_main:
            told = {"verdict": verdict.text, "code": verdict.exit_code, "rank": verdict.rank}
            self._tell({**told, "machine": machine})

    def _tick(self) -> None:
        if self._verdict is not None:
            self._ends_in -= _PERIOD
            if self._ends_in <= 0 and not self._is_explaining:
                self._end(self._verdict)
            return
        at, where = self._gathers + collectives_begun(), _where()
        self._tell({"at": at, "where": where})
        # Seconds are counted by own ticks: a process that is suspended as a whole has missed nothing.
        for rank, peer in self.peers.items():
            peer.silent += 0.0 if peer.has_left else _PERIOD
            if peer.silent > self.limits.silence:
                self._find(_silence(rank, peer, self.limits.silence))
        if self.ranks.is_main:
            self._look_who_waits(at, where)
        if self.launcher is not None and self.ranks.local_rank == 0 and os.getppid() != self.launcher.pid:
            self._lose_launcher(f"the launcher (former {self.launcher}) is gone")

    def _look_who_waits(self, at: int, where: str) -> None:
        places = {0: (at, where, self._this)}
        places |= {
            rank: (peer.at, peer.where, peer.process)
            for rank, peer in self.peers.items()
            if not peer.has_left
        }
        slowest = min(place[0] for place in places.values())
        late = [rank for rank, place in places.items() if place[0] == slowest]
        if len(late) == len(places) or slowest != self._slowest:
            self._slowest, self._waited, self._is_warned = slowest, 0.0, False
            return
        self._waited += _PERIOD
        _, where, process = places[late[0]]
        who = f"rank {late[0]} ({process}, last in {where})"
        if len(late) > 1:
            who += f" and {len(late) - 1} more"
        if self._waited > self.limits.behind:
            self._find(f"{who} kept the other processes waiting for {self.limits.behind:.0f} s")
        elif self._waited > self.limits.warn_after and not self._is_warned:
            self._is_warned = True
            logger().warning(f"waiting for {self._waited:.0f} s for {who}")

    def _lose_launcher(self, what: str) -> None:
        if self.ranks.is_main:
            self._find(what)
        else:
            self._tell({"failed": what, "code": 1})
            self._decide(Verdict(f"{what}; {_HINT}", 1, True))

    def _end(self, verdict: Verdict) -> None:
        """End this process from outside of its main thread, which waits for what does not come."""
        sys.stdout.flush()
        if verdict.is_reported_here:
            print(f"error: {verdict.text}", file=sys.stderr, flush=True)  # noqa: T201
        end_workers()
        os._exit(verdict.exit_code)


def _silence(rank: int, peer: Peer, seconds: float) -> str:
    is_stopped = peer.process.state == "stopped"
    cause = "it is stopped" if is_stopped else "its machine or the network may be down"
    return f"rank {rank} ({peer.process}) gave no sign of life for {seconds:.0f} s: {cause}"


def _is_of_group(error: BaseException) -> bool:
    """Whether it is what collectives raise when another process is gone."""
    named = str(error).lower()
    return isinstance(error, RuntimeError) and (
        isinstance(error, dist.DistError) or "gloo" in named or "nccl" in named
    )


def _where() -> str:
    """The function of this package that the main thread is in: ``batches (data/loader.py)``."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE) and path.name != "watch.py":
            return f"{frame.f_code.co_name} ({path.relative_to(_PACKAGE).as_posix()})"
        frame = frame.f_back
    return "code of a library"
