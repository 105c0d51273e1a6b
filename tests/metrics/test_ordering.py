"""Hit and con: published numbers, and rules that have learned nothing."""

from __future__ import annotations

import numpy as np
import pytest

from basicsr.metrics.ordering import (
    calculate_con,
    calculate_hit,
    calculate_trivial_con,
    calculate_trivial_hit,
)
from tests.sister_parity import fixture


def test_published_ratios():
    _, _, arrays = fixture("hypercut_ordering")
    pairs = list(zip(arrays["out_u"].numpy(), arrays["out_v"].numpy(), strict=True))
    hits = [np.mean([calculate_hit(u, v, pair) for u, v in pairs]) for pair in (1, 2, 3)]
    cons = [np.mean([calculate_con(u, count) for u, _ in pairs]) for count in (2, 3)]
    np.testing.assert_allclose([*hits, *cons], arrays["out_test"].numpy(), rtol=1e-6)
    np.testing.assert_allclose([hits[0], *cons], arrays["out_validation"].numpy()[1:], rtol=1e-6)


def test_zero_is_on_the_canonical_side():
    assert calculate_con(np.array([0.0, 1.0, 2.0])) == 1
    assert calculate_con(np.array([0.0, -1.0, -2.0])) == 0
    assert calculate_con(np.array([3.0, 1.0, -2.0]), pairs=2) == 1


def test_a_clip_without_the_pair_is_refused():
    with pytest.raises(ValueError, match="pair 3 is requested, but the clip has 2"):
        calculate_con(np.ones(2))
    with pytest.raises(ValueError, match="pair 4"):
        calculate_hit(np.ones(3), np.ones(3), pair=4)


def test_what_rules_get_that_do_not_look():
    gt = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), np.uint8)
    keys = [f"clip/{number}" for number in range(2000)]
    coins = [calculate_trivial_hit(gt, key) for key in keys], [calculate_trivial_con(gt, key) for key in keys]
    # Three standard deviations of 2000 throws.
    assert np.mean(coins[0]) == pytest.approx(0.5, abs=3 * 0.5 / 2000**0.5)
    assert np.mean(coins[1]) == pytest.approx(0.25, abs=3 * 0.433 / 2000**0.5)
    assert coins[0][:9] == [calculate_trivial_hit(gt, key) for key in keys[:9]], "the same in every run"
    assert (calculate_trivial_hit(gt, "a", "constant"), calculate_trivial_con(gt, "a", "constant")) == (0, 1)


def test_brightness_is_antisymmetric_and_consistent_where_light_changes_steadily():
    rising = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((7, 4, 4, 3), np.uint8)
    assert calculate_trivial_hit(rising, "a", "brightness") == 1
    assert calculate_trivial_con(rising, "a", "brightness") == 1
    uneven = rising[[0, 4, 2, 3, 6, 1, 5]]
    assert calculate_trivial_con(uneven, "a", "brightness") == 0
