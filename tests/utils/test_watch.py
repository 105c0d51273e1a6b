"""Processes that watch each other; here two of them are two threads with a real connection."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from basicsr.utils.dist import Ranks
from basicsr.utils.errors import OptionError, ReportedError, UserError
from basicsr.utils.interruption import RESUME_ME, Interrupted
from basicsr.utils.log import logger
from basicsr.utils.processes import Process
from basicsr.utils.watch import Connection, Limits, Peer, Watch

QUICK = Limits(join=20, silence=20, behind=20, warn_after=20)


class Pair:
    """Two ranks of one machine, or the first one with another that never says a word."""

    def __init__(self, limits: Limits, is_silent: bool) -> None:
        self.connections = [Connection(sock) for sock in socket.socketpair()]
        this = Process.this()
        self.watches = [
            Watch(Ranks(rank, 2, rank, 2), limits, {1 - rank: Peer(self.connections[rank], this)})
            for rank in range(1 if is_silent else 2)
        ]

    def run(self, *works: Callable[[Watch], Any]) -> list[Any]:
        """What each rank's work returns or raises."""
        with ThreadPoolExecutor(2) as pool:
            futures: list[Future[Any]] = [
                pool.submit(_explained, watch, work) for watch, work in zip(self.watches, works, strict=False)
            ]
            return [future.exception() or future.result() for future in futures]


def _explained(watch: Watch, work: Callable[[Watch], Any]) -> Any:
    try:
        with watch.explaining():
            return work(watch)
    finally:
        if not watch.ranks.is_main:  # as at the end of a process
            watch.peers[0].connection.close()


@pytest.fixture
def pair(monkeypatch) -> Iterator[Callable[..., Pair]]:
    monkeypatch.setattr("basicsr.utils.watch._PERIOD", 0.05)
    made: list[Pair] = []

    def make(is_silent: bool = False, **limits: float) -> Pair:
        made.append(Pair(replace(QUICK, **limits), is_silent))
        return made[-1]

    yield make
    for each in made:
        for watch in each.watches:
            watch.leave()


def gather(watch: Watch) -> list[Any]:
    return watch.gather(None)


def raising(error: BaseException) -> Callable[[Watch], Any]:
    def work(watch: Watch) -> None:
        raise error

    return work


def test_one_process_gathers_what_it_gives_and_keeps_its_errors():
    alone = Watch(Ranks(), QUICK)
    assert alone.gather({"a": 1}) == [{"a": 1}]
    error = ValueError("x")
    with pytest.raises(ValueError) as caught, alone.explaining():
        raise error
    assert caught.value is error


def test_all_processes_gather_the_same(pair):
    def work(watch: Watch) -> list[Any]:
        return [watch.gather([turn, watch.ranks.rank]) for turn in range(3)]

    expected = [[[turn, 0], [turn, 1]] for turn in range(3)]
    assert pair().run(work, work) == [expected, expected]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_ends_the_other_which_says_nothing(pair, failing: int):
    error = OptionError("a.b", ["a.b: wrong"])
    works = [gather, raising(error)]
    found = pair().run(*(works if failing else works[::-1]))
    assert (type(found[failing]), str(found[failing])) == (UserError, "a.b: wrong")
    other = found[1 - failing]
    assert (type(other), str(other)) == (ReportedError, f"rank {failing}: a.b: wrong")
    assert found[0].exit_code == found[1].exit_code == 2


def test_what_all_find_is_said_by_one(pair):
    found = pair().run(*[raising(OptionError("a.b", ["a.b: wrong"]))] * 2)
    assert sorted(type(error).__name__ for error in found) == ["ReportedError", "UserError"]


def test_different_errors_are_both_said(pair):
    found = pair().run(raising(UserError("one.png: broken")), raising(UserError("two.png: broken")))
    assert [str(error) for error in found] == ["one.png: broken", "two.png: broken"]
    assert not any(isinstance(error, ReportedError) for error in found)


def test_an_error_of_a_library_stays_and_is_told(pair):
    error = ZeroDivisionError("division by zero")
    found = pair().run(gather, raising(error))
    assert found[1] is error
    assert str(found[0]) == "rank 1: ZeroDivisionError: division by zero"


def test_a_process_that_dies_is_named(pair):
    both = pair(is_silent=True)
    both.connections[1].close()
    (error,) = both.run(gather)
    assert type(error) is UserError and error.exit_code == 1
    assert str(error).startswith(f"rank 1 (process {os.getpid()} on ") and "killed" in str(error)


def test_the_line_of_a_collective_that_broke_gives_way_to_its_cause(pair):
    both = pair(is_silent=True)

    def broken(watch: Watch) -> None:
        both.connections[1].close()
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")

    (error,) = both.run(broken)
    assert type(error) is UserError and str(error).startswith("rank 1 (process ")


def test_a_process_without_a_sign_of_life_is_named(pair):
    (error,) = pair(is_silent=True, silence=1.0).run(gather)
    assert "gave no sign of life for 1 s" in str(error)


@pytest.mark.parametrize("late", [0, 1])
def test_it_is_said_for_whom_the_others_wait_and_then_the_run_ends(pair, caplog, late: int):
    logger().propagate = True
    both = pair(warn_after=0.3, behind=1.1)

    def do_else(watch: Watch) -> None:
        cause = watch._cause(10)
        assert cause is not None
        raise cause.as_error()

    with caplog.at_level(logging.WARNING, "basicsr"):
        found = both.run(*((do_else, gather) if late == 0 else (gather, do_else)))
    (warning,) = caplog.messages
    assert f"s for rank {late} (process {os.getpid()} on " in warning
    assert f"rank {late} (process {os.getpid()} on " in str(found[1 - late])
    assert "kept the other processes waiting for 1 s" in str(found[1 - late])


def test_who_leaves_as_it_should_disturbs_nobody(pair):
    both = pair(silence=0.3, behind=0.3)
    both.watches[1].leave()
    assert both.watches[0]._cause(1.0) is None


def test_who_was_interrupted_and_has_saved_disturbs_nobody(pair):
    both = pair()
    saved = Interrupted(15, is_saved=True)
    found = both.run(lambda watch: watch._cause(1.0), raising(saved))
    assert found == [None, saved] and saved.exit_code == RESUME_ME
