"""Masks on a device become the label map that they become in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from basicsr.masks import from_stack
from basicsr.segmenters.painting import paint
from basicsr.utils.errors import UserError

RULES = ["exact", "smallest_on_top", "published"]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
# few pixels, so that whole combinations of masks meet; and more masks than the gray formula counts up to
STACKS = arrays.arrays(np.bool_, st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(1, 5)))
MANY = arrays.arrays(np.bool_, st.tuples(st.integers(120, 140), st.integers(1, 3), st.integers(1, 3)))


@pytest.mark.parametrize("device", DEVICES)
@given(STACKS | MANY, st.sampled_from(RULES))
def test_painting_equals_painting_of_the_stack(device, masks, rule):
    painted = paint(torch.from_numpy(masks).to(device), rule, "x")
    expected = from_stack(masks, rule)
    assert painted.dtype == expected.dtype
    assert np.array_equal(painted, expected)


@pytest.mark.parametrize("rule", RULES)
def test_masks_of_one_area_and_repeated_and_empty_ones(rule):
    masks = np.zeros((6, 4, 5), np.bool_)
    masks[0, :2] = masks[1, 1:3] = masks[2, :2] = masks[3, 1, 1:3] = masks[5] = True
    assert np.array_equal(paint(torch.from_numpy(masks), rule, "x"), from_stack(masks, rule))


def test_more_regions_than_a_label_map_holds_are_refused():
    bits = np.arange(1, 1 << 17, 1).reshape(1, -1)
    masks = torch.from_numpy(bits >> np.arange(17)[:, None, None] & 1 > 0)
    with pytest.raises(UserError, match="^photo: region ids end at 65535"):
        paint(masks, "exact", "photo")
