from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

from basicsr.masks import (
    MAX_REGIONS,
    check_label_map,
    decode_label_map,
    encode_label_map,
    from_stack,
    gray_to_labels,
    published_gray,
    read_label_map,
    relabel,
    to_stack,
    write_label_map,
)
from basicsr.utils.errors import UserError
from basicsr.utils.image import encode_png

STACKS = st.integers(0, 7).flatmap(
    lambda m: array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(lambda hw: arrays(np.bool_, (m, *hw)))
)
GRIDS = arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 6))


def npz(**entries: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **entries)
    return buffer.getvalue()


def assert_is_partition_by(labels: NDArray[np.int32], owner: dict[tuple[int, int], object]) -> None:
    """``labels`` is 0 where the owner is None, and numbers the other owners 1..K, one id each."""
    ids_of = {}
    for (y, x), who in owner.items():
        ids_of.setdefault(who, set()).add(int(labels[y, x]))
    assert ids_of.pop(None, {0}) == {0}
    assert sorted(min(ids) for ids in ids_of.values()) == list(range(1, len(ids_of) + 1))
    assert all(len(ids) == 1 for ids in ids_of.values())


@given(STACKS)
def test_exact_gives_every_combination_of_masks_its_own_region(masks):
    combinations = {
        (y, x): tuple(masks[:, y, x]) if masks[:, y, x].any() else None
        for y, x in np.ndindex(masks.shape[1:])
    }
    labels = from_stack(masks, "exact")
    assert labels.dtype == np.int32
    assert_is_partition_by(labels, combinations)


@given(STACKS, st.randoms())
def test_exact_does_not_depend_on_the_order_of_the_masks(masks, chance):
    order = list(range(len(masks)))
    chance.shuffle(order)
    pairs = set(zip(from_stack(masks).flat, from_stack(masks[order]).flat, strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
    assert {pair for pair in pairs if 0 in pair} <= {(0, 0)}


def test_exact_tells_hundreds_of_overlapping_masks_apart():
    masks = np.random.default_rng(0).random((300, 20, 30)) < 0.5
    assert np.unique(from_stack(masks)).tolist() == list(range(1, 601))


@given(STACKS)
def test_smallest_on_top_gives_a_pixel_to_its_smallest_mask_and_of_equal_ones_to_the_earlier(masks):
    areas = masks.sum(axis=(1, 2))
    owners = {}
    for y, x in np.ndindex(masks.shape[1:]):
        owners[y, x] = min(np.flatnonzero(masks[:, y, x]), key=lambda i: (areas[i], i), default=None)
    assert_is_partition_by(from_stack(masks, "smallest_on_top"), owners)


@given(STACKS)
def test_published_regions_are_the_distinct_gray_values(masks):
    gray = published_gray(masks)
    labels = from_stack(masks, "published")
    assert_is_partition_by(labels, {place: int(gray[place]) for place in np.ndindex(gray.shape)})
    assert labels.min() == 1


@given(GRIDS)
def test_disjoint_masks_give_the_same_map_by_both_rules_in_the_order_of_the_masks(grid):
    masks = grid == np.arange(1, 7)[:, None, None]
    assert np.array_equal(from_stack(masks, "exact"), relabel(grid))
    assert np.array_equal(from_stack(masks, "smallest_on_top"), relabel(grid))


@given(STACKS)
def test_a_channel_axis_of_one_changes_nothing(masks):
    assert np.array_equal(from_stack(masks[:, None]), from_stack(masks))


def test_no_masks_cover_nothing():
    none = np.zeros((0, 2, 3), np.bool_)
    assert not from_stack(none, "exact").any()
    assert not from_stack(none, "smallest_on_top").any()
    assert (from_stack(none, "published") == 1).all()


@given(GRIDS)
def test_stack_and_map_are_inverse(grid):
    labels = relabel(grid)
    stack = to_stack(labels)
    assert stack.dtype == np.bool_
    assert stack.shape == (labels.max(), *labels.shape)
    assert np.array_equal(from_stack(stack), labels)


def test_a_stack_has_a_plane_for_each_id_that_occurs():
    stack = to_stack(np.array([[7, 0], [3, 7]]))
    assert stack.tolist() == [[[False, False], [True, False]], [[True, False], [False, True]]]


def test_relabel_closes_gaps_and_keeps_zero_and_order():
    assert relabel(np.array([[0, 90000], [7, 90000]])).tolist() == [[0, 2], [1, 2]]
    assert relabel(np.array([[9, 4], [4, 4]], np.uint8)).tolist() == [[2, 1], [1, 1]]


@given(
    arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, MAX_REGIONS))
)
def test_png_keeps_every_id(labels):
    decoded = decode_label_map(encode_label_map(labels), "a.png")
    assert decoded.dtype == np.int32
    assert np.array_equal(decoded, labels)


def test_files_keep_every_id_and_leave_nothing_beside_them(tmp_path: Path):
    labels = np.array([[0, 1], [256, MAX_REGIONS]])
    path = tmp_path / "new" / "a.png"
    write_label_map(path, labels)
    assert np.array_equal(read_label_map(path), labels)
    assert list(path.parent.iterdir()) == [path]


def test_in_a_png_of_8_bits_zero_is_a_region_too():
    gray = np.array([[0, 0, 200], [3, 3, 200]], np.uint8)
    assert decode_label_map(encode_png(gray), "a.png").tolist() == [[1, 1, 3], [2, 2, 3]]


def test_a_stack_file_is_joined_by_the_named_rule():
    masks = np.array([[[1, 1, 0, 0]], [[0, 1, 1, 1]]], np.bool_)[:, None]
    assert decode_label_map(npz(masks=masks), "a.npz").tolist() == [[1, 3, 2, 2]]
    assert decode_label_map(npz(masks=masks), "a.npz", "smallest_on_top").tolist() == [[1, 1, 2, 2]]
    assert decode_label_map(npz(masks=masks), "a.npz", "published").tolist() == [[1, 3, 2, 2]]


@pytest.mark.data
def test_the_published_stack_is_read_and_kept(shared: Path):
    with np.load(shared / "parity" / "masks.npz") as archive:
        masks = archive["masks"][:, 0]
    labels = read_label_map(shared / "parity" / "masks.npz")
    assert np.array_equal(to_stack(labels), masks)
    assert np.count_nonzero(labels == 0) == np.count_nonzero(~masks.any(axis=0)) > 0


def test_an_int32_map_is_not_copied():
    labels = np.ones((2, 2), np.int32)
    assert check_label_map(labels, "a") is labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((1, 4, 4), np.int32), r"scene/a: .*\(H, W\), found \(1, 4, 4\)"),
        (np.zeros((0, 4), np.int32), r"scene/a: .*\(H, W\), found \(0, 4\)"),
        (np.zeros((4, 4), np.float32), "scene/a: .*integers, found float32"),
        (np.zeros((4, 4), np.bool_), "scene/a: .*integers, found bool"),
        (np.array([[0, -3]]), "scene/a: .*start at 0 .*found -3"),
        (np.array([[5, 65536, 65536]]), r"scene/a: .*end at 65535, found 65536 \(2 distinct ids\)"),
    ],
)
def test_what_is_no_label_map_is_named(labels, message, tmp_path: Path):
    with pytest.raises(UserError, match=f"^{message}[^\n]*$"):
        check_label_map(labels, "scene/a")
    with pytest.raises(UserError):
        write_label_map(tmp_path / "a.png", labels)
    assert not list(tmp_path.iterdir())


def test_more_regions_than_a_map_holds_are_refused():
    each_its_own = np.arange(260 * 260).reshape(260, 260)
    bits = (each_its_own >> np.arange(17)[:, None, None]) & 1 == 1
    with pytest.raises(
        UserError, match="^a.npz: more than 65535 regions by the rule 'exact'; .*fewer masks$"
    ):
        from_stack(bits, "exact", "a.npz")
    with pytest.raises(UserError, match="^labels: .*end at 65535"):
        relabel(each_its_own)


def test_as_many_regions_as_a_map_holds_are_kept():
    """Sixteen masks in all 65,536 combinations: 65,535 regions, and a pixel under none."""
    each_its_own = np.arange(256 * 256).reshape(256, 256)
    bits = (each_its_own >> np.arange(16)[:, None, None]) & 1 == 1
    assert np.array_equal(np.unique(from_stack(bits)), np.arange(MAX_REGIONS + 1))
    one_more = np.zeros((256, 257), np.bool_)
    one_more[0, 256] = True
    wider = np.concatenate([np.pad(bits, ((0, 0), (0, 0), (0, 1))), one_more[None]])
    with pytest.raises(UserError, match="more than 65535 regions"):
        from_stack(wider)


@pytest.mark.parametrize(
    "masks",
    [
        np.zeros((2, 4, 4), np.uint8),
        np.zeros((4, 4), np.bool_),
        np.zeros((2, 3, 4, 4), np.bool_),
        np.zeros((2, 0, 4), np.bool_),
        np.zeros((2, 4, 0), np.bool_),
    ],
)
def test_what_is_no_stack_is_named(masks):
    with pytest.raises(UserError, match=r"^a: expected a boolean stack [^\n]*found \w+ \(.*\)[^\n]*$"):
        from_stack(masks, "exact", "a")


def test_an_unknown_rule_is_named():
    with pytest.raises(
        UserError, match="^overlap: unknown rule 'largest'; known: exact, smallest_on_top, published$"
    ):
        from_stack(np.ones((1, 2, 2), np.bool_), "largest")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a mask file"),
        (b"\xff\xd8\xff\xe0 a JPEG has lost the ids", "not a mask file"),
        (b"PK\x03\x04 no archive", "damaged .npz"),
        (encode_label_map(np.ones((9, 9), np.int32))[:-20], "cut short"),
        (encode_png(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)), "expected one channel"),
        (npz(mask=np.ones((1, 1, 2, 2), np.bool_)), "expected the key 'masks', found mask"),
        (npz(masks=np.ones((1, 1, 2, 2), np.uint8)), "expected a boolean stack"),
        (npz(masks=np.array([[[{}]]], object)), "pickled Python objects are refused, because"),
    ],
)
def test_what_is_no_mask_file_is_named(data, message):
    with pytest.raises(UserError, match=f"^scene/a: [^\n]*{message}[^\n]*$"):
        decode_label_map(data, "scene/a")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"none\.png: .*No such file"):
        read_label_map(tmp_path / "none.png")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_of_a_palette_are_ids_whatever_the_colors(palette_png, bits):
    ids = np.random.default_rng(0).integers(0, 1 << bits, (7, 11))
    ids[0, :2] = 0, (1 << bits) - 1
    data = palette_png(ids, bits)
    assert data[24:26] == bytes([bits, 3]), "a PNG with a palette of so many bits"
    labels = decode_label_map(data, "a")
    assert labels.dtype == np.int32 and np.array_equal(labels, ids)


def test_a_gray_palette_holds_indices_too():
    ids = np.array([[0, 1], [2, 255]], np.uint8)
    picture = Image.fromarray(ids)
    picture.putpalette(np.arange(255, -1, -1, dtype=np.uint8).repeat(3).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert np.array_equal(decode_label_map(buffer.getvalue(), "a"), ids)


def test_a_palette_png_that_is_cut_short_is_named(palette_png):
    data = palette_png(np.random.default_rng(0).integers(0, 256, (40, 50)))
    for length in (30, len(data) // 2, len(data) - 40):
        with pytest.raises(UserError, match="^scene/a: [^\n]*cut short; replace the file$"):
            decode_label_map(data[:length], "scene/a")


def test_gray_images_and_label_maps_agree_on_regions():
    gray = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    assert np.array_equal(decode_label_map(encode_png(gray), "a"), gray_to_labels(gray))
