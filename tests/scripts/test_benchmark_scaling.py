"""What a step costs at the least: laws of counting, and of exchanging in a ring."""

from __future__ import annotations

import pytest

from basicsr.archs.base import build_network
from basicsr.losses import PSNRLoss

BLOCK = {"type": "SegNAFNet", "width": 8, "enc_blk_nums": [1], "middle_blk_num": 1, "dec_blk_nums": [1]}


@pytest.fixture
def scaling(benchmark_module):
    return benchmark_module("scaling")


def test_costs_grow_with_the_area_and_gradients_do_not(scaling):
    small, large = (scaling.cost_of(BLOCK, side, PSNRLoss()) for side in (64, 128))
    parameters = sum(parameter.numel() for parameter in build_network(BLOCK).parameters())
    assert small.gradients == large.gradients == 4 * parameters
    # Attention over channels and the weights themselves do not grow.
    assert 3.9 < large.operations / small.operations <= 4
    assert 3.8 < large.moved / small.moved <= 4


def test_one_gpu_waits_for_nobody_and_others_for_what_the_backward_pass_does_not_hide(scaling):
    gpu = scaling.Gpu("", flops=10.0, memory=100.0, link=8.0, network=2.0)
    cost = scaling.Cost(operations=30.0, moved=100.0, gradients=4.0)
    assert scaling.seconds_per_step(cost, gpu, 1, 8) == (24.0, 0.0)  # by operations: 3 s a sample
    assert scaling.seconds_per_step(cost._replace(moved=500.0), gpu, 1, 8) == (40.0, 0.0)  # by memory
    # Ring of 2: all gradients once, 0.5 s at 8 a second, within 8 s of backward pass.
    assert scaling.seconds_per_step(cost, gpu, 2, 8) == (12.0, 0.0)
    # Ring of 16 over the network: 2 x 15/16 x 400 / 2 = 375 s, of which 2/3 of 1.5 s are hidden.
    step, waiting = scaling.seconds_per_step(cost._replace(gradients=400.0), gpu, 16, 8)
    assert waiting == pytest.approx(374.0) and step == pytest.approx(375.5)
