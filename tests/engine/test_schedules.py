"""Learning rates by their formulas, and where PyTorch has the same schedule, by its numbers."""

from __future__ import annotations

import math

import pytest
import torch

from basicsr.engine.schedules import (
    CosineAnnealingRestartLR,
    LinearLR,
    MultiStepLR,
    MultiStepRestartLR,
    PolynomialLR,
    StepLR,
    TrueCosineAnnealingLR,
    warmed_up,
)
from basicsr.utils.registry import OPTIMIZERS, SCHEDULES

torch_schedules = torch.optim.lr_scheduler


def rates_of_torch(make, steps: int, base_lr: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base_lr)
    schedule = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_true_cosine_is_that_of_torch():
    expected = rates_of_torch(
        lambda o: torch_schedules.CosineAnnealingLR(o, T_max=50, eta_min=1e-4), 50, 1e-2
    )
    assert [TrueCosineAnnealingLR(step, 1e-2, T_max=50, eta_min=1e-4) for step in range(50)] == pytest.approx(
        expected
    )


def test_the_published_recipe_starts_at_1e_3_and_ends_at_1e_7():
    assert TrueCosineAnnealingLR(0, 1e-3, 200_000, 1e-7) == pytest.approx(1e-3)
    assert TrueCosineAnnealingLR(100_000, 1e-3, 200_000, 1e-7) == pytest.approx((1e-3 + 1e-7) / 2)
    assert TrueCosineAnnealingLR(200_000, 1e-3, 200_000, 1e-7) == pytest.approx(1e-7)


def test_multi_step_is_that_of_torch():
    expected = rates_of_torch(lambda o: torch_schedules.MultiStepLR(o, [3, 7], gamma=0.5), 10, 0.1)
    assert [MultiStepLR(step, 0.1, [3, 7], 0.5) for step in range(10)] == pytest.approx(expected)
    assert [MultiStepRestartLR(step, 0.1, [3, 7], 0.5) for step in range(10)] == pytest.approx(expected)


def test_multi_step_restarts_forget_earlier_milestones():
    rates = [
        MultiStepRestartLR(s, 1.0, [2, 6], 0.1, restarts=[0, 4], restart_weights=[1, 0.5]) for s in range(8)
    ]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.5, 0.5, 0.05, 0.05])


def test_cosine_restarts_begin_each_period_at_its_weight():
    rate = [
        CosineAnnealingRestartLR(s, 1.0, periods=[4, 8], restart_weights=[1, 0.5], eta_min=0.1)
        for s in range(13)
    ]
    assert rate[0] == pytest.approx(1)
    assert rate[2] == pytest.approx(0.1 + 0.9 / 2)
    assert rate[4] == pytest.approx(0.1), "the last step of the first period"
    assert rate[5] == pytest.approx(0.1 + 0.5 * 0.9 * (1 + math.cos(math.pi / 8)) / 2)
    assert rate[8] == pytest.approx(0.1 + 0.5 * 0.9 / 2)
    assert rate[12] == pytest.approx(0.1)


def test_without_more_options_rates_fall_to_zero_by_tenths_and_once():
    assert TrueCosineAnnealingLR(8, 0.5, T_max=8) == pytest.approx(0)
    assert [CosineAnnealingRestartLR(step, 0.5, [8]) for step in (0, 8)] == pytest.approx([0.5, 0])
    assert [MultiStepLR(step, 0.5, [3]) for step in (2, 3)] == pytest.approx([0.5, 0.05])
    assert [MultiStepRestartLR(step, 0.5, [3]) for step in (0, 2, 3)] == pytest.approx([0.5, 0.5, 0.05])


@pytest.mark.parametrize("call", [
    lambda: CosineAnnealingRestartLR(0, 1.0, periods=[4, 8], restart_weights=[1.0]),
    lambda: MultiStepRestartLR(0, 1.0, [2], restarts=[0, 4], restart_weights=[1.0]),
])  # fmt: skip
def test_each_period_and_each_restart_needs_its_weight(call):
    with pytest.raises(ValueError, match="need one number each"):
        call()


def test_before_the_first_restart_nothing_is_weighted():
    rates = [
        MultiStepRestartLR(step, 1.0, [1], 0.1, restarts=[4], restart_weights=[0.5]) for step in (0, 1, 4)
    ]
    assert rates == pytest.approx([1, 0.1, 0.5])


def test_a_milestone_at_a_restart_is_forgotten():
    rates = [
        MultiStepRestartLR(s, 1.0, [2, 4], 0.1, restarts=[0, 4], restart_weights=[1, 1]) for s in (3, 4, 5)
    ]
    assert rates == pytest.approx([0.1, 1, 1])


@pytest.mark.parametrize(("name", "options", "defaults"), [
    ("AdamW", {}, {"weight_decay": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8}),
    ("Adam", {}, {"weight_decay": 0, "betas": (0.9, 0.999), "eps": 1e-8}),
    ("SGD", {}, {"momentum": 0, "weight_decay": 0, "nesterov": False}),
    ("Adamax", {}, {"weight_decay": 0, "betas": (0.9, 0.999), "eps": 1e-8}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, {}),
    ("Adam", {"weight_decay": 0.1, "betas": (0.5, 0.6), "eps": 1e-3}, {}),
])  # fmt: skip
def test_defaults_of_optimizers_are_those_of_torch(name: str, options: dict, defaults: dict):
    parameter = torch.nn.Parameter(torch.ones(1))
    built = OPTIMIZERS.build(name, {"lr": 0.1, **options}, params=[parameter])()
    assert type(built) is getattr(torch.optim, name)
    plain = getattr(torch.optim, name)([parameter], lr=0.1, **options)
    for key, value in plain.param_groups[0].items():
        assert key == "fused" or built.param_groups[0][key] == value, key
    assert built.param_groups[0].items() >= defaults.items()


def test_steps_and_polynomials_are_those_of_torch():
    steps = rates_of_torch(lambda o: torch_schedules.StepLR(o, step_size=3, gamma=0.9), 12, 0.5)
    assert [StepLR(step, 0.5, step_size=3, gamma=0.9) for step in range(12)] == pytest.approx(steps)
    powers = rates_of_torch(lambda o: torch_schedules.PolynomialLR(o, total_iters=12, power=0.3), 13, 0.5)
    assert [PolynomialLR(step, 0.5, total_iter=12, power=0.3) for step in range(13)] == pytest.approx(powers)


def test_linear_falls_to_zero():
    rates = [LinearLR(step, 0.8, 6, flat_iter=2) for step in range(7)]
    assert rates == pytest.approx([0.8, 0.8, 0.8, 0.6, 0.4, 0.2, 0])
    with pytest.raises(ValueError, match="flat_iter is 6"):
        LinearLR(0, 0.8, 6, flat_iter=6)
    assert [LinearLR(step, 0.8, 4) for step in range(5)] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0])


WHOLE = [
    (TrueCosineAnnealingLR, {"T_max": 40, "eta_min": 0.01}, 40, []),
    (CosineAnnealingRestartLR, {"periods": [15, 25], "restart_weights": [1, 0.5]}, 40, [16]),
    (LinearLR, {"total_iter": 40}, 40, []),
    (PolynomialLR, {"total_iter": 40, "power": 0.3}, 40, []),
    (StepLR, {"step_size": 15}, None, []),
    (MultiStepLR, {"milestones": [10, 30, 50]}, None, []),
    (
        MultiStepRestartLR,
        {"milestones": [10, 30], "restarts": [0, 20], "restart_weights": [1, 0.5]},
        None,
        [20],
    ),
]


@pytest.mark.parametrize(("schedule", "options", "steps", "restarts"), WHOLE)
def test_over_a_whole_run_rates_climb_at_restarts_only(schedule, options, steps, restarts):
    rates = [schedule(step, 0.5, **options) for step in range(41)]
    assert rates[0] == 0.5 and min(rates) >= 0
    assert [step for step in range(1, 41) if rates[step] > rates[step - 1]] == restarts
    if steps is not None:
        assert rates[steps] == pytest.approx(options.get("eta_min", 0.0), abs=1e-15)
        with pytest.raises(ValueError, match="is 40, but the schedule has to last 41 steps"):
            schedule(41, 0.5, **options)


def test_every_schedule_is_tried_over_a_whole_run():
    assert {schedule.__name__ for schedule, *_ in WHOLE} == set(SCHEDULES.names())


@pytest.mark.parametrize(
    ("schedule", "length"), [(TrueCosineAnnealingLR, 9), (CosineAnnealingRestartLR, [9])]
)
def test_a_cosine_that_would_climb_to_its_end_is_refused(schedule, length):
    with pytest.raises(ValueError, match=r"eta_min 0.2 is above the rate 0.1"):
        schedule(0, 0.1, length, eta_min=0.2)
    assert schedule(0, 0.1, length, eta_min=0.1) == pytest.approx(0.1)


def test_warm_up_rises_from_zero_and_minus_one_is_none():
    rates = [warmed_up(0.7, step, 1.0, 4) for step in range(5)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 0.7, 0.7])
    assert warmed_up(0.7, 0, 1.0, -1) == 0.7


def test_published_names_are_known():
    names = {
        "TrueCosineAnnealingLR",
        "CosineAnnealingRestartLR",
        "MultiStepLR",
        "MultiStepRestartLR",
        "LinearLR",
    }
    assert names <= set(SCHEDULES.names())
    assert {"AdamW", "Adam", "Adamax", "SGD"} <= set(OPTIMIZERS.names())


def test_optimizers_get_their_options():
    parameter = torch.nn.Parameter(torch.ones(1))
    options = {"lr": "1e-3", "weight_decay": 0.0, "betas": [0.9, 0.9]}
    group = OPTIMIZERS.build("AdamW", options, params=[parameter])().param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (1e-3, 0.0, (0.9, 0.9))
    sgd = OPTIMIZERS.build("SGD", {"lr": 0.5}, params=[parameter])()
    parameter.grad = torch.full((1,), 2.0)
    sgd.step()
    assert math.isclose(parameter.item(), 0.0)


@pytest.mark.parametrize(("name", "options"), [
    ("AdamW", {"weight_decay": 0.1}),
    ("Adam", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
])  # fmt: skip
def test_one_kernel_takes_the_steps_of_many_operations(name: str, options: dict):
    generator = torch.Generator().manual_seed(0)
    starts = [torch.randn(shape, generator=generator) for shape in ((5, 3), (7,), (2, 3, 4, 4))]
    one, other = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    kernel = OPTIMIZERS.build(name, {"lr": 0.1, **options}, params=one)()
    assert kernel.param_groups[0]["fused"]
    plain = getattr(torch.optim, name)(other, lr=0.1, **options)
    for _ in range(10):
        for left, right in zip(one, other, strict=True):
            left.grad = torch.randn(left.shape, generator=generator)
            right.grad = left.grad.clone()
        kernel.step()
        plain.step()
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right)  # up to rounding
