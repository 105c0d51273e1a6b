"""Work ahead of the caller: in order, one at a time, and no further than one."""

from __future__ import annotations

import threading
import time

import pytest

from basicsr.utils.ahead import one_ahead


def test_results_come_in_order_and_errors_where_they_belong():
    def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number * number

    results = list(one_ahead(work, [3, 2, 1]))
    assert [results[0](), results[2]()] == [9, 1]
    with pytest.raises(ValueError, match="two"):
        results[1]()
    assert list(one_ahead(work, [])) == []


def test_it_is_never_more_than_one_ahead_and_uses_the_time_of_the_caller():
    begun: list[int] = []
    running: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        running.append(number)
        assert running == [number]
        running.remove(number)
        return number

    for taken, result in enumerate(one_ahead(work, range(6))):
        assert result() == taken
        deadline = time.monotonic() + 10
        while len(begun) < min(taken + 2, 6) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)
        assert begun == list(range(min(taken + 2, 6)))


def test_a_caller_that_leaves_waits_for_the_item_in_work_and_no_other():
    before = threading.active_count()
    begun, ended = [], []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.05)
        ended.append(number)
        return number

    ready = one_ahead(work, range(9))
    assert next(ready)() == 0
    ready.close()
    assert threading.active_count() == before
    assert begun == ended and len(begun) <= 2


def test_a_caller_that_never_begins_starts_nothing():
    before = threading.active_count()
    one_ahead(lambda number: number, range(9)).close()
    assert threading.active_count() == before
