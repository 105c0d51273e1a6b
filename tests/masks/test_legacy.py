from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from basicsr.masks import coco_rle_to_mask, from_stack, gray_to_labels, published_gray, read_published_npz
from basicsr.utils.errors import UserError


def one_pixel_each(count: int) -> np.ndarray:
    """``count`` masks, mask i covering only pixel i of a row."""
    return np.eye(count, dtype=np.bool_)[:, None]


def test_gray_of_single_masks_by_hand():
    gray = published_gray(one_pixel_each(257))[0]
    assert gray.dtype == np.uint8
    by_hand = {0: 2, 1: 4, 125: 252, 126: 254, 127: 255, 128: 253, 129: 251, 253: 3, 254: 1, 255: 0, 256: 0}
    assert {i: int(gray[i]) for i in by_hand} == by_hand


def test_the_first_255_masks_have_255_grays():
    assert sorted(published_gray(one_pixel_each(255))[0]) == list(range(1, 256))


def test_overlaps_are_added_and_the_sum_is_clipped():
    masks = np.zeros((256, 1, 4), np.bool_)
    masks[[0, 1], :, 0] = True  # 2 + 4
    masks[[100, 101], :, 1] = True  # 202 + 204
    masks[[126, 127, 255], :, 2] = True  # 254 + 255 - 1
    masks[[0, 255], :, 3] = True  # 2 - 1
    assert published_gray(masks).tolist() == [[6, 255, 255, 1]]


def test_an_overlap_can_meet_an_unrelated_mask_only_by_the_published_rule():
    masks = np.zeros((3, 1, 2), np.bool_)
    masks[[0, 1], :, 0] = True  # 2 + 4
    masks[2, :, 1] = True  # 6
    assert from_stack(masks, "published").tolist() == [[1, 1]]
    assert from_stack(masks, "exact").tolist() == [[1, 2]]


def test_grays_become_ids_from_1_in_their_order():
    assert gray_to_labels(np.array([[255, 0], [7, 255]], np.uint8)).tolist() == [[3, 1], [2, 3]]
    assert gray_to_labels(np.array([[9]], np.uint8)).tolist() == [[1]]


@pytest.mark.parametrize("gray", [np.zeros((2, 2), np.uint16), np.zeros((2, 2, 3), np.uint8)])
def test_what_is_no_gray_image_is_named(gray):
    with pytest.raises(UserError, match=r"^a: expected a grey image uint8 \(H, W\), found u"):
        gray_to_labels(gray, "a")


def test_published_stacks_lose_their_channel_axis():
    masks = np.random.default_rng(0).random((5, 1, 3, 4)) < 0.5
    buffer = io.BytesIO()
    np.savez(buffer, masks=masks)
    assert np.array_equal(read_published_npz(buffer.getvalue(), "a"), masks[:, 0])


def test_a_bare_array_is_no_stack_file():
    buffer = io.BytesIO()
    np.save(buffer, np.ones((1, 1, 2, 2), np.bool_))
    with pytest.raises(UserError, match=r"^a: not an \.npz file"):
        read_published_npz(buffer.getvalue(), "a")


def test_a_damaged_stack_file_is_named():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, masks=np.random.default_rng(0).random((4, 1, 32, 32)) < 0.5)
    data = bytearray(buffer.getvalue())
    data[len(data) // 2] ^= 255
    with pytest.raises(UserError, match=r"^a: damaged \.npz file"):
        read_published_npz(bytes(data), "a")


def runs_of(mask: np.ndarray) -> list[int]:
    """Lengths of equal pixels down the columns, the first of them outside the mask."""
    groups = [(inside, len(list(group))) for inside, group in itertools.groupby(mask.T.ravel().tolist())]
    return [0] * bool(groups[0][0]) + [length for _, length in groups]


def compress(runs: list[int]) -> str:
    """COCO's string: two's complement in groups of five bits, lowest first, as few as keep the sign."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        groups = next(n for n in itertools.count(1) if -(1 << 5 * n - 1) <= value < 1 << 5 * n - 1)
        for k in range(groups):
            more = 32 if k < groups - 1 else 0
            text += chr(48 + more + (value >> 5 * k & 31))
    return text


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=70)))
def test_run_lengths_keep_a_mask(mask):
    size, runs = list(mask.shape), runs_of(mask)
    for counts in (runs, compress(runs), compress(runs).encode()):
        decoded = coco_rle_to_mask({"size": size, "counts": counts})
        assert decoded.dtype == np.bool_
        assert np.array_equal(decoded, mask)


@given(st.integers(1, 4000), st.integers(1, 4000), st.data())
def test_long_runs_keep_a_mask(height, width, data):
    ends = data.draw(st.lists(st.integers(0, height * width), max_size=6).map(sorted))
    runs = np.diff([0, *ends, height * width]).tolist()
    counts = compress(runs)
    decoded = coco_rle_to_mask({"size": [height, width], "counts": counts})
    assert np.count_nonzero(decoded) == sum(runs[1::2])


def test_the_example_of_coco():
    mask = np.zeros((9, 10), np.bool_)
    mask[6, 0] = True
    mask[2:6, 5:8] = True
    for counts in ([6, 1, 40, 4, 5, 4, 5, 4, 21], "61X13mN000`0", b"61X13mN000`0"):
        assert np.array_equal(coco_rle_to_mask({"size": [9, 10], "counts": counts}), mask)


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"counts": [4]}, r"expected 'size': \[height, width\], found None"),
        ({"size": [2], "counts": [4]}, r"expected 'size': \[height, width\], found \[2\]"),
        ({"size": [True, 2], "counts": [2]}, r"expected 'size': \[height, width\], found \[True, 2\]"),
        ({"size": [2, 2, 1], "counts": [4]}, r"expected 'size': \[height, width\], found \[2, 2, 1\]"),
        ({"size": [2, 0], "counts": []}, r"expected 'size': \[height, width\], found \[2, 0\]"),
        ({"size": [2, 2]}, "expected 'counts', integers or a string, found NoneType"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "expected 'counts', integers or a string, found list"),
        ({"size": [2, 2], "counts": [1, 2]}, "runs of 3 pixels for 2 x 2"),
        ({"size": [2, 2], "counts": ""}, "runs of 0 pixels for 2 x 2"),
        ({"size": [2, 2], "counts": [5, -1]}, "a run of -1 pixels"),
        ({"size": [2, 2], "counts": "4\n"}, r"'\\n' is no character"),
        ({"size": [2, 2], "counts": "4/"}, "'/' is no character"),
        ({"size": [2, 2], "counts": "4p"}, "'p' is no character"),
        ({"size": [2, 2], "counts": "4P"}, "cut short"),
    ],
)
def test_what_are_no_run_lengths_is_named(rle, message):
    with pytest.raises(UserError, match=f"^scene/a: [^\n]*{message}[^\n]*$"):
        coco_rle_to_mask(rle, "scene/a")
