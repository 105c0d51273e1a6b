from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from basicsr.segmenters.upsampling import Frame, Upsampling

SIDE, PADDED = 16, 64


def frame_of(height: int, width: int) -> Frame:
    longest = max(height, width)
    used = tuple(max(1, round(size * PADDED / longest)) for size in (height, width))
    return Frame(SIDE, PADDED, used, (height, width))


def enlarge(logits: torch.Tensor, frame: Frame) -> torch.Tensor:
    """What is to be read, computed in full."""
    square = functional.interpolate(logits[:, None], (PADDED, PADDED), mode="bilinear")
    part = square[:, :, : frame.used[0], : frame.used[1]]
    return functional.interpolate(part, frame.size, mode="bilinear")[:, 0]


def smooth_logits(seed: int, number: int = 5) -> torch.Tensor:
    noise = torch.randn(number, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return 12 * functional.avg_pool2d(noise, 5, 1, 2)[:, 0]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(3, 150),
    width=st.integers(3, 150),
    seed=st.integers(0, 999),
    thresholds=st.lists(st.floats(-3, 3), min_size=1, max_size=3).map(sorted),
)
def test_counts_boxes_and_masks_are_those_of_enlarged_logits(height, width, seed, thresholds):
    frame = frame_of(height, width)
    logits = smooth_logits(seed)
    full = enlarge(logits, frame)
    # Where an enlarged logit equals a threshold up to rounding, either side is right.
    if any((full - threshold).abs().min() < 1e-5 for threshold in thresholds):
        return
    reader = Upsampling(frame, torch.device("cpu"))
    prepared = reader.prepare(logits)
    counts = torch.stack([(full > threshold).sum((1, 2)) for threshold in thresholds], dim=1)
    assert torch.equal(reader.count(prepared, thresholds), counts)
    inside = full > thresholds[0]
    assert torch.equal(reader.masks(prepared, thresholds[0]), inside)
    for box, mask in zip(reader.boxes(prepared, thresholds[0]).tolist(), inside, strict=True):
        rows, columns = (mask.any(dim).nonzero()[:, 0].tolist() for dim in (1, 0))
        assert box == ([columns[0], rows[0], columns[-1], rows[-1]] if rows else [0, 0, 0, 0])


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_flat_logits_fill_the_photo_or_nothing(value):
    reader = Upsampling(frame_of(36, 64), torch.device("cpu"))
    prepared = reader.prepare(torch.full((1, SIDE, SIDE), value))
    assert reader.count(prepared, [0.0]).item() == (36 * 64 if value > 0 else 0)
    assert reader.boxes(prepared, 0.0).tolist() == [[0, 0, 63, 35] if value > 0 else [0, 0, 0, 0]]
    assert reader.masks(prepared, 0.0).eq(value > 0).all()


def test_what_lies_in_the_padding_counts_nowhere():
    logits = torch.full((1, SIDE, SIDE), -1.0)
    logits[:, SIDE // 2 + 1 :] = 9.0  # the photo takes the upper half
    reader = Upsampling(frame_of(32, 64), torch.device("cpu"))
    assert reader.count(reader.prepare(logits), [0.0]).item() == 0


def test_no_masks_are_no_results():
    reader = Upsampling(frame_of(20, 30), torch.device("cpu"))
    prepared = reader.prepare(torch.zeros(0, SIDE, SIDE))
    assert reader.count(prepared, [0.0, 1.0]).shape == (0, 2)
    assert reader.boxes(prepared, 0.0).shape == (0, 4)
    assert reader.masks(prepared, 0.0).shape == (0, 20, 30)
