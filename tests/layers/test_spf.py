"""Semantic priors fusion by its formulas."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from basicsr.layers.spf import RegionPrior, SPFUnit, resize_prior

# float32 sums of at most 40 * 9 products of about unit size, rounded at each addition
FLOAT32 = {"rtol": 0, "atol": 360 * torch.finfo(torch.float32).eps}


def test_the_prior_is_a_convolution_over_planes_and_a_coarser_one_their_mean():
    prior = RegionPrior(3, 5)
    ranks = torch.randint(0, 4, (2, 8, 12))
    planes = functional.one_hot(ranks, 4).permute(0, 3, 1, 2).float()
    kernel = prior.columns.weight.T[:, :, None, None]
    torch.testing.assert_close(prior(ranks), functional.conv2d(planes, kernel), **FLOAT32)
    coarse = functional.conv2d(functional.interpolate(planes, scale_factor=0.25, mode="area"), kernel)
    torch.testing.assert_close(prior(ranks, 4), coarse, **FLOAT32)


def test_a_new_unit_leaves_features_as_they_are_and_hands_on_a_prior():
    features, prior = torch.randn(2, 6, 5, 7), torch.randn(2, 3, 5, 7)
    fused, handed_on = SPFUnit(6, 3)(features, prior)
    assert torch.equal(fused, features)
    assert handed_on.shape == features.shape and not torch.equal(handed_on, features)


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_without_residual_the_features_are_the_selected_ones(norm: str):
    unit = SPFUnit(6, 3, norm, residual=False)
    features, prior = torch.randn(2, 6, 5, 7), torch.randn(2, 3, 5, 7)
    fused, handed_on = unit(features, prior)
    h = unit.fuse(torch.cat([features, prior], 1))
    first, _, second, _ = unit.select
    weights = torch.sigmoid(second(functional.gelu(first(h.mean((2, 3))))))
    torch.testing.assert_close(fused, h * weights[:, :, None, None])
    assert fused is handed_on
    if norm == "instance":
        blocks = [layer for layer in unit.fuse if isinstance(layer, torch.nn.InstanceNorm2d)]
        assert len(blocks) == 2


@pytest.mark.parametrize(("before", "after", "size"), [(1, 1, 8), (1, 2, 4), (4, 1, 32), (2, 8, 2)])
def test_a_prior_is_resized_to_the_next_place(before: int, after: int, size: int):
    assert resize_prior(4, before, after)(torch.randn(1, 4, 8, 8)).shape == (1, 4, size, size)
