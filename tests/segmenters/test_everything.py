from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.segmenters.everything import (
    Crop,
    Everything,
    Options,
    crop_layers,
    grid,
    mask_boxes,
    suppress,
    tidy,
)
from basicsr.segmenters.upsampling import Frame
from basicsr.utils.errors import UserError

HEIGHT, WIDTH = 180, 240


def checkers() -> np.ndarray:
    """A photo of 4 x 4 rectangles, each of its own gray."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    index = rows * 4 // HEIGHT * 4 + columns * 4 // WIDTH
    return np.repeat((index * 15).astype(np.uint8)[..., None], 3, axis=2)


class Known:
    """Answers a point with the pixels of its gray, and with a bad mask; more than ``room`` points at once are
    too many for its memory.
    """

    threshold = 0.0
    device = torch.device("cpu")

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.asked: list[int] = []

    def look(self, photo: np.ndarray) -> Frame:
        side = max(photo.shape)
        self.gray = torch.full((side, side), -1)
        self.gray[: photo.shape[0], : photo.shape[1]] = torch.from_numpy(photo[..., 0].astype(np.int64))
        return Frame(side, side, photo.shape[:2], photo.shape[:2])

    def answer(self, points: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked.append(len(points))
        if len(points) > self.room:
            raise torch.cuda.OutOfMemoryError("out of memory")
        grays = self.gray[points[:, 1].astype(int), points[:, 0].astype(int)]
        good = torch.where(self.gray == grays[:, None, None], 9.0, -9.0)
        # Distinct qualities: the order of equal ones would say nothing.
        quality = 0.9 + points[:, 0] / 1e4 + points[:, 1] / 1e6
        quality = torch.from_numpy(np.stack([quality, quality - 0.5], axis=1))
        return torch.stack([good, torch.full_like(good, 9.0)], dim=1), quality


def found(options: Options, decoder: Known | None = None, points_per_batch: int = 64) -> np.ndarray:
    return Everything(decoder or Known(), options, points_per_batch).masks(checkers()).numpy()


def test_every_rectangle_is_found_once_and_nothing_else():
    masks = found(Options(points_per_side=8))
    gray = checkers()[..., 0]
    assert len(masks) == 16
    assert {tuple(np.unique(gray[mask])) for mask in masks} == {(value,) for value in np.unique(gray)}
    assert (masks.sum(0) == 1).all()


@pytest.mark.parametrize("points_per_batch", [1, 7, 64, 500])
def test_the_batch_decides_nothing(points_per_batch):
    options = Options(points_per_side=8)
    assert np.array_equal(found(options, points_per_batch=points_per_batch), found(options))


def test_out_of_memory_halves_the_batch_for_good_and_changes_nothing(caplog):
    decoder = Known(room=20)
    everything = Everything(decoder, Options(points_per_side=8), points_per_batch=64)
    assert np.array_equal(everything.masks(checkers()).numpy(), found(Options(points_per_side=8)))
    assert decoder.asked == [64, 32, 16, 16, 16, 16]
    decoder.asked.clear()
    everything.masks(checkers())
    assert decoder.asked == [16, 16, 16, 16]
    assert "points_per_batch=16" in caplog.text


def test_when_one_point_is_too_many_the_error_says_so():
    with pytest.raises(UserError, match="^points_per_batch: 1 point is too many for the memory; "):
        found(Options(points_per_side=4), Known(room=0), points_per_batch=4)


def test_masks_cut_off_by_a_crop_are_left_out():
    # Rectangles of 45 x 60 pixels: in every crop some lie whole, and those at its inner edges are cut.
    options = Options(points_per_side=8, crop_n_layers=1, crop_nms_thresh=1.0, box_nms_thresh=0.7)
    masks = found(options)
    whole = found(Options(points_per_side=8))
    assert len(masks) > len(whole)
    for mask in masks:
        assert any(np.array_equal(mask, other) for other in whole)


@pytest.mark.parametrize("side", [1, 2, 32])
def test_the_grid_holds_the_centers_of_equal_cells(side):
    points = grid(side)
    assert points.shape == (side * side, 2)
    cells = np.floor(points * side).astype(int)
    assert [tuple(cell) for cell in cells] == [(x, y) for y in range(side) for x in range(side)]
    assert np.allclose(points * side - cells, 0.5)


@given(
    height=st.integers(20, 2000),
    width=st.integers(20, 2000),
    layers=st.integers(0, 3),
    ratio=st.floats(0, 0.9),
)
def test_crops_of_each_layer_cover_the_photo(height, width, layers, ratio):
    result = crop_layers(height, width, layers, ratio)
    assert result[0] == [Crop(0, 0, width, height)]
    if min(height, width) >= 64:
        assert [len(crops) for crops in result] == [4**i for i in range(layers + 1)]
    for crops in result:
        for low, high, size in ((0, 2, width), (1, 3, height)):
            spans = sorted({(crop[low], crop[high]) for crop in crops})
            assert spans[0][0] == 0
            assert spans[-1][1] == size
            assert all(begin < end for begin, end in spans)
            assert all(end >= begin for (_, end), (begin, _) in pairwise(spans))


boxes_and_scores = st.lists(
    st.tuples(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)).map(
            lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
        ),
        st.integers(0, 4),
    ),
    max_size=14,
)


def iou(a, b) -> float:
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common) if sum(areas) > common else 0.0


@given(boxes_and_scores, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_suppression_keeps_what_the_greedy_rule_keeps(candidates, threshold):
    boxes = torch.tensor([box for box, _ in candidates]).reshape(-1, 4)
    scores = torch.tensor([float(score) for _, score in candidates])
    kept: list[int] = []
    for i in sorted(range(len(candidates)), key=lambda i: (-candidates[i][1], i)):
        if all(iou(candidates[i][0], candidates[j][0]) <= threshold for j in kept):
            kept.append(i)
    assert suppress(boxes, scores, threshold).tolist() == kept


def test_more_boxes_than_are_compared_at_once():
    generator = torch.Generator().manual_seed(0)
    low = torch.randint(0, 400, (1500, 2), generator=generator)
    boxes = torch.cat([low, low + torch.randint(20, 60, (1500, 2), generator=generator)], dim=1)
    kept = suppress(boxes, torch.arange(1500.0), 0.3)
    survivors: list[int] = []
    for i in reversed(range(1500)):
        if all(iou(boxes[i].tolist(), boxes[j].tolist()) <= 0.3 for j in survivors):
            survivors.append(i)
    assert 100 < len(survivors) < 1400
    assert kept.tolist() == survivors


def test_a_chain_of_suppressed_boxes_is_followed_to_its_end():
    boxes = torch.tensor([[4 * i, 0, 4 * i + 10, 10] for i in range(9)])  # each beats only its neighbors
    assert suppress(boxes, -torch.arange(9.0), 0.4).tolist() == [0, 2, 4, 6, 8]


def test_tidying_fills_holes_and_removes_islands_below_the_area():
    mask = np.zeros((20, 20), np.bool_)
    mask[2:12, 2:12] = True
    mask[5:7, 5:7] = False  # a hole of 4
    mask[15:18, 15:18] = True  # an island of 9
    clean = np.zeros_like(mask)
    clean[2:12, 2:12] = True
    assert np.array_equal(tidy(torch.from_numpy(mask[None]), 10, 0.7).numpy(), clean[None])
    four = tidy(torch.from_numpy(mask[None]), 5, 0.7).numpy()[0]
    assert four[5:7, 5:7].all()
    assert four[15:18, 15:18].all()


def test_tidying_keeps_the_largest_island_of_a_mask_of_small_ones():
    mask = np.zeros((20, 20), np.bool_)
    mask[1:3, 1:3] = mask[8:11, 8:11] = True
    (only,) = tidy(torch.from_numpy(mask[None]), 50, 0.7).numpy()
    assert only[8:11, 8:11].all()
    assert only.sum() == 9


def test_tidying_prefers_the_mask_that_needed_nothing():
    clean = np.zeros((20, 20), np.bool_)
    clean[2:12, 2:12] = True
    holed = clean.copy()
    holed[5, 5] = False
    other = np.zeros_like(clean)
    other[14:19, 14:19] = True
    masks = tidy(torch.from_numpy(np.stack([holed, clean, other])), 5, 0.7).numpy()
    assert np.array_equal(masks, np.stack([clean, other]))


def test_boxes_of_masks_name_their_outermost_pixels():
    masks = torch.zeros(2, 10, 12, dtype=torch.bool)
    masks[0, 2, 3] = masks[0, 7, 11] = True
    assert mask_boxes(masks).tolist() == [[3, 2, 11, 7], [0, 0, 0, 0]]
