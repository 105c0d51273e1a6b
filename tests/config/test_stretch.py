"""Recipes of another length."""

from __future__ import annotations

import pytest

from basicsr.config.load import load_config
from basicsr.config.stretch import stretched

OPTIONS = """
name: any
network_g: {{type: NAFNet}}
datasets: {{}}
train:
  optim_g: {{type: Adam, lr: 1}}
  total_iter: 1000
  warmup_iter: {warmup}
  scheduler: {schedule}
"""


def recipe(tmp_path, schedule: str, warmup: int = -1, overrides: tuple[str, ...] = ()):
    path = tmp_path / "any.yml"
    path.write_text(OPTIONS.format(schedule=schedule, warmup=warmup))
    return load_config(path, overrides, "demo").train


@pytest.mark.parametrize("iterations", [1, 7, 999, 1000, 12_345])
@pytest.mark.parametrize(
    "schedule",
    [
        "{type: TrueCosineAnnealingLR, T_max: 1000, eta_min: 0}",
        "{type: LinearLR, total_iter: 1000}",
        "{type: PolynomialLR, total_iter: 1000, power: 2}",
        "{type: CosineAnnealingRestartLR, periods: [333, 333, 334], restart_weights: [1, 1, 1]}",
    ],
)
def test_rates_lie_where_they_lay_in_the_whole(tmp_path, schedule, iterations):
    before = recipe(tmp_path, schedule)
    after = recipe(tmp_path, schedule, overrides=stretched(before, iterations))
    assert after.total_iter == iterations
    old, new = before.scheduler.build(), after.scheduler.build()
    # steps are rounded up to whole ones, a step for each of the three periods at most
    slope = 10 * 3 / iterations
    for share in (0.0, 0.25, 0.6, 0.99):
        step = int(share * iterations)
        expected = old(step=step * 1000 // iterations, base_lr=1.0)
        assert new(step=step, base_lr=1.0) == pytest.approx(expected, abs=slope + 0.02)
    new(step=iterations, base_lr=1.0)  # which raises where the schedule is too short


def test_milestones_and_warm_up_change_and_other_numbers_do_not(tmp_path):
    schedule = "{type: MultiStepRestartLR, milestones: [500, 900], restarts: [0, 601], "
    schedule += "restart_weights: [1, 2], gamma: 1}"
    found = stretched(recipe(tmp_path, schedule, warmup=100), 100)
    assert found == [
        "train.total_iter=100",
        "train.warmup_iter=10",
        "train.scheduler.gamma=1.0",
        "train.scheduler.restarts=[0, 61]",
        "train.scheduler.restart_weights=[1.0, 2.0]",
        "train.scheduler.milestones=[50, 90]",
    ]
    assert "train.warmup_iter=-1" in stretched(recipe(tmp_path, schedule), 100)
