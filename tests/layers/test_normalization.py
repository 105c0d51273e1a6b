"""Normalization by its formula."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.layers.normalization import IDENTITY, Normalization

MEANS = st.tuples(*[st.floats(-1, 1)] * 3)
STDS = st.tuples(*[st.floats(0.1, 4)] * 3)


@given(mean=MEANS, std=STDS, batch=st.booleans(), mask=st.booleans())
def test_color_is_shifted_and_scaled_and_comes_back(mean, std, batch: bool, mask: bool):
    """A mask channel behind the color stays as it is."""
    image = torch.rand(*([2] if batch else []), 4 if mask else 3, 5, 6, dtype=torch.float64)
    rule = Normalization(mean, std)
    normal = rule.apply(image)
    for channel in range(3):
        expected = (image[..., channel, :, :] - mean[channel]) / std[channel]
        torch.testing.assert_close(normal[..., channel, :, :], expected)
    assert torch.equal(normal[..., 3:, :, :], image[..., 3:, :, :])
    torch.testing.assert_close(rule.undo(normal), image)


def test_either_option_may_be_left_out():
    assert Normalization.of(None, None) is None
    assert Normalization.of((0.5, 0.4, 0.3), None) == Normalization((0.5, 0.4, 0.3), (1.0, 1.0, 1.0))
    assert Normalization.of(None, (0.5, 0.4, 0.3)) == Normalization((0.0, 0.0, 0.0), (0.5, 0.4, 0.3))


def test_what_changes_nothing_costs_nothing():
    image = torch.rand(3, 4, 4)
    assert IDENTITY.changes_nothing and IDENTITY.apply(image) is image and IDENTITY.undo(image) is image
    assert not Normalization((0.0, 0.0, 0.1), (1.0, 1.0, 1.0)).changes_nothing
    assert not Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 2.0)).changes_nothing


def test_gamma_gives_powers_and_negative_output_is_black():
    rule = Normalization((0.1,) * 3, (0.5,) * 3, gamma=2.2)
    image = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(rule.apply(image), (image**2.2 - 0.1) / 0.5)
    torch.testing.assert_close(rule.undo(rule.apply(image)), image)
    below = torch.full((3, 1, 1), -1.0)
    assert torch.equal(rule.undo(below), torch.zeros(3, 1, 1))
    assert not rule.changes_nothing and "gamma 2.2" in str(rule)
    assert Normalization.of(None, None, 2.2) == Normalization((0.0,) * 3, (1.0,) * 3, 2.2)
    with pytest.raises(ValueError, match="gamma 0"):
        Normalization((0.0,), (1.0,), 0.0)


@pytest.mark.parametrize(
    ("mean", "std", "what"),
    [
        ((0.0,), (1.0, 1.0), "one number per channel"),
        ((float("nan"),), (1.0,), "finite"),
        ((0.0,), (float("inf"),), "finite"),
        ((0.0,), (0.0,), "positive"),
        ((0.0,), (-1.0,), "positive"),
    ],
)
def test_impossible_values(mean, std, what: str):
    with pytest.raises(ValueError, match=what):
        Normalization(mean, std)
