"""How the processes of a run find each other at its start."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, ReportedError, UserError
from basicsr.utils.log import logger
from basicsr.utils.processes import Process
from basicsr.utils.watch import Connection, Limits, Peer, Watch

_WARN_AFTER = 10.0  # seconds: short, as users watch a start
_BETWEEN_TRIES = 0.2
_HELLO_WITHIN = 10.0
_KEY = "watch"

Found = TypeVar("Found")


def join(ranks: Ranks, limits: Limits) -> tuple[Watch, dist.Store | None]:
    """Meet the other processes, if there are any, at the address in the launcher's variables.

    Returns:
        The watch over them, and the store for `basicsr.utils.dist.start_process_group`.

    Raises:
        OptionError: the port is taken.
        UserError: they do not come within ``limits.join``.
    """
    launcher = Process.here(os.getppid()) if "TORCHELASTIC_RUN_ID" in os.environ else None
    if ranks.world_size == 1:
        return Watch(ranks, limits, launcher=launcher), None
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    has_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    hosts_store = ranks.is_main and not has_store
    patience = _Patience(limits)
    if hosts_store:
        _require_free(port)
    else:  # PyTorch would wait without naming for whom
        patience.wait(lambda: _answers(host, port), f"the first process, which should be at {host}:{port}")
    store = dist.TCPStore(
        host, port, None, hosts_store, timedelta(seconds=limits.join), wait_for_workers=False
    )
    attempt = dist.PrefixStore(f"attempt_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    meet = _meet_others if ranks.is_main else _meet_first
    return Watch(ranks, limits, meet(ranks, host, attempt, patience), launcher), attempt


class _Patience:
    """Retries until the time limit for joining."""

    def __init__(self, limits: Limits) -> None:
        self.seconds = limits.join
        self._begun = time.monotonic()
        self._warn_after = min(_WARN_AFTER, limits.warn_after)

    def wait(self, attempt: Callable[[], Found | None], for_whom: str | Callable[[], str]) -> Found:
        """The first result of ``attempt`` that is not None; OSError is another try.

        Raises:
            UserError: the time is up.
        """
        is_warned = False
        while True:
            why = ""
            try:
                if (found := attempt()) is not None:
                    return found
            except OSError as error:
                why = f" ({error.strerror or error})"
            waited = time.monotonic() - self._begun
            whom = for_whom if isinstance(for_whom, str) else for_whom()
            if waited > self.seconds:
                hint = "check whether every process was started and can reach that machine"
                raise UserError(f"waited for {self.seconds:.0f} s for {whom}{why}; {hint}")
            if waited > self._warn_after and not is_warned:
                is_warned = True
                logger().warning(f"waiting for {whom}{why}")
            time.sleep(_BETWEEN_TRIES)


def _require_free(port: int) -> None:
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        what = f"{port} cannot be listened to ({error.strerror}); choose another one, or set MASTER_PORT"
        raise OptionError("dist_params.port", [f"dist_params.port: {what}"]) from error


def _answers(host: str, port: int) -> bool:
    _connect(host, port).close()
    return True


def _connect(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), timeout=_HELLO_WITHIN)


def _meet_others(ranks: Ranks, host: str, store: dist.Store, patience: _Patience) -> dict[int, Peer]:
    """The first process listens until all others have come."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    is_dual = family == socket.AF_INET6
    with socket.create_server(("", 0), family=family, dualstack_ipv6=is_dual) as listener:
        listener.settimeout(_BETWEEN_TRIES)
        token = os.urandom(16).hex()
        store.set(_KEY, f"{listener.getsockname()[1]} {token}")
        peers: dict[int, Peer] = {}

        def accept() -> bool | None:
            if len(peers) < ranks.world_size - 1:
                found = _accept(listener, token)
                if found is not None:
                    peers[found[0]] = found[1]
            return True if len(peers) == ranks.world_size - 1 else None

        def missing() -> str:
            absent = [str(rank) for rank in range(1, ranks.world_size) if rank not in peers]
            return f"rank {', '.join(absent)} of {ranks.world_size} processes"

        try:
            patience.wait(accept, missing)
        except UserError as error:
            for peer in peers.values():
                peer.connection.send({"failed": str(error)})
            raise
    this = asdict(Process.this())
    for peer in peers.values():
        peer.connection.sock.settimeout(None)
        peer.connection.send({"welcome": this})
    return peers


def _accept(listener: socket.socket, token: str) -> tuple[int, Peer] | None:
    """A process of this run that has come; None for none or a foreign one."""
    try:
        sock, _ = listener.accept()
    except TimeoutError:
        return None
    sock.settimeout(_HELLO_WITHIN)
    connection = Connection(sock)
    try:
        hello = connection.receive_one()
        if hello is not None and hello.get("token") == token:
            return hello["rank"], Peer(connection, Process(**hello["process"]))
    except (OSError, ValueError):
        pass
    connection.close()
    return None


def _meet_first(ranks: Ranks, host: str, store: dist.Store, patience: _Patience) -> dict[int, Peer]:
    """The others connect to the first process, and wait until all are there."""

    def knock() -> Peer | None:
        if not store.check([_KEY]):
            return None
        port, token = store.get(_KEY).decode().split()
        connection = Connection(_connect(host, int(port)))
        connection.send({"token": token, "rank": ranks.rank, "process": asdict(Process.this())})
        connection.sock.settimeout(patience.seconds)
        answer = connection.receive_one()
        if answer is None:
            return None
        connection.sock.settimeout(None)
        if "failed" in answer:
            raise (UserError if ranks.local_rank == 0 else ReportedError)(answer["failed"])
        return Peer(connection, Process(**answer["welcome"]))

    return {0: patience.wait(knock, f"the first process, on {host}")}
