"""Stochastic depth by its definition."""

from __future__ import annotations

import torch

from basicsr.layers.drop_path import DropPath


def test_samples_are_left_out_as_a_whole_and_the_mean_stays():
    torch.manual_seed(0)
    branch = torch.ones(4000, 2, 3)
    result = DropPath(0.25).train()(branch)
    assert torch.equal(result, result[:, :1, :1].expand_as(result))
    assert set(result.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    # the share that is kept has a standard deviation of sqrt(.25 * .75 / 4000) = .007
    assert abs((result[:, 0, 0] > 0).float().mean() - 0.75) < 5 * 0.007


def test_evaluation_and_rate_0_leave_out_nothing_and_draw_nothing():
    branch = torch.rand(3, 2)
    before = torch.get_rng_state()
    assert DropPath(0.5).eval()(branch) is branch
    assert DropPath(0.0).train()(branch) is branch
    assert torch.equal(torch.get_rng_state(), before)
