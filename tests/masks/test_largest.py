"""Regions numbered by their area."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.masks.largest import rank_regions


def by_hand(labels: np.ndarray, count: int) -> np.ndarray:
    areas = {int(label): int((labels == label).sum()) for label in np.unique(labels) if label}
    order = sorted(areas, key=lambda label: (-areas[label], label))[:count]
    result = np.full(labels.shape, count)
    for rank, label in enumerate(order):
        result[labels == label] = rank
    return result


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6))
def test_the_largest_come_first_and_the_rest_is_one(seed: int, count: int):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 3, 7, 9], size=(2, 5, 6)).astype(np.int32)
    ranks = rank_regions(torch.from_numpy(labels), count)
    for image in range(2):
        np.testing.assert_array_equal(ranks[image].numpy(), by_hand(labels[image], count))


def test_without_regions_all_is_left():
    assert (rank_regions(torch.zeros(1, 3, 3, dtype=torch.int32), 4) == 4).all()
