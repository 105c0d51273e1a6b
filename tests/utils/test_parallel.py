"""Work on many files: order, what is broken, and processes of either kind."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.parallel import in_parallel


def square(number: int) -> int:
    if number % 10 == 3:
        raise UserError(f"{number}: is broken")
    return number**2


def process_of_squarer(number: int) -> tuple[int, int]:
    return number, os.getpid()


def stop_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("workers", [1, 2, None])
def test_the_rest_is_done_in_order_before_the_broken_ones_are_told(workers, threads):
    results = []
    with pytest.raises(UserError) as told:
        results.extend(in_parallel(square, range(40), "squares", workers, threads=threads))
    assert results == [n**2 for n in range(40) if n % 10 != 3]
    head, *broken = str(told.value).splitlines()
    assert head == "4 of 40 could not be done:"
    assert broken == [f"  {n}: is broken" for n in (3, 13, 23, 33)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_start_methods_of_all_platforms_give_the_same(method):
    outcomes = list(in_parallel(process_of_squarer, range(9), "x", 2, method))
    assert [number for number, _ in outcomes] == list(range(9))
    assert os.getpid() not in {process for _, process in outcomes}


@pytest.mark.parametrize("workers", [0, -2])
def test_fewer_than_one_worker_is_a_mistake_in_the_options(workers):
    with pytest.raises(OptionError, match=f"--workers: expected at least 1 .got {workers}"):
        list(in_parallel(square, [1], "squares", workers))


def test_the_bar_can_be_left_to_another_process(capsys):
    assert list(in_parallel(square, [1, 2], "squares", 1, progress=False)) == [1, 4]
    assert capsys.readouterr().err == ""
    assert list(in_parallel(square, [1, 2], "squares", 1)) == [1, 4]
    assert "squares: 100%" in capsys.readouterr().err


def test_threads_work_at_the_same_time():
    """Two that wait for each other would never end one after the other."""
    meeting = threading.Barrier(2, timeout=60)
    assert len(list(in_parallel(lambda _: meeting.wait(), [1, 2], "x", 2, threads=True))) == 2


def test_nothing_to_do_is_nothing():
    assert list(in_parallel(square, [], "squares")) == []


def test_a_killed_process_ends_the_run_with_advice():
    with pytest.raises(UserError, match="killed.*--workers"):
        list(in_parallel(stop_at_five, range(20), "x", 2))
