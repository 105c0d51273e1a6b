"""How training grows with processes: the model that measurements are compared with, and what it expects."""

from __future__ import annotations

import pytest

from basicsr.utils.image import decode_rgb


@pytest.fixture
def parallel(benchmark_module):
    return benchmark_module("parallel")


def test_processes_share_cores_and_wait_for_what_the_backward_pass_does_not_hide(parallel):
    alone = 6.0
    assert parallel.Step(1, alone, 0.0).expected(alone, cores=2) == alone
    assert parallel.Step(2, 0.0, 2.0).expected(alone, cores=2) == pytest.approx(3.0), "2 of 3 s hide it"
    assert parallel.Step(2, 0.0, 5.0).expected(alone, cores=2) == pytest.approx(3.0 + 3.0)
    assert parallel.Step(4, 0.0, 0.0).expected(alone, cores=2) == pytest.approx(3.0), "no more cores"
    assert parallel.Step(4, 0.0, 0.0).expected(alone, cores=8) == pytest.approx(1.5)


def test_the_chart_shows_both(parallel):
    steps = [parallel.Step(1, 6.0, 0.0), parallel.Step(2, 3.5, 1.0), parallel.Step(4, 3.6, 1.0)]
    assert decode_rgb(parallel.draw(steps, 2), "chart").std() > 0


@pytest.mark.slow
def test_two_processes_make_steps_and_exchange(parallel):
    step = parallel.step_of(2)
    assert step.processes == 2 and step.seconds > 0 and step.exchange > 0
