"""Mask average pooling: the label-map form equals the published formula on mask stacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.masks.label_map import from_stack, read_label_map
from basicsr.masks.pooling import (
    compact_labels,
    drop_regions,
    look_up,
    mask_average_pool,
    region_means,
    region_sums,
    table_rows,
)


def published_formula(features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """SAM-Deblur's MAP of one image: features (C, H, W), masks (M, H, W) of value 0 or s."""
    result = torch.zeros_like(features)
    for mask in masks:
        result += (features * mask).sum((1, 2), keepdim=True) / (mask.sum() + 1e-8) * mask
    remainder = 1 - masks.sum(0).clamp(0, 1)
    return result + (features * remainder).sum((1, 2), keepdim=True) / (remainder.sum() + 1e-8) * remainder


def stack_of(labels: torch.Tensor, value: float) -> torch.Tensor:
    return torch.stack([(labels == region) * value for region in labels.unique() if region]).double()


def random_labels(seed: int, height: int = 9, width: int = 7, regions: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, regions + 1, (height, width), np.int32))


def test_by_hand():
    features = torch.tensor([[1.0, 3.0, 10.0, 20.0], [5.0, 7.0, 30.0, 40.0]]).reshape(1, 1, 2, 4)
    labels = torch.tensor([[[1, 1, 0, 0], [1, 2, 0, 2]]], dtype=torch.int32)
    expected = torch.tensor([[3.0, 3.0, 20.0, 20.0], [3.0, 23.5, 20.0, 23.5]]).reshape(1, 1, 2, 4)
    torch.testing.assert_close(mask_average_pool(features, labels), expected)


@pytest.mark.parametrize("value", [1.0, 0.5, 1 / 255])
@given(seed=st.integers(0, 2**32 - 1))
def test_equals_the_published_formula_on_each_image_of_a_batch(value: float, seed: int):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, 9, 7, generator=generator, dtype=torch.float64)
    labels = torch.stack([random_labels(seed), random_labels(seed + 1)])
    ours = mask_average_pool(features, labels, value)
    for image in range(2):
        expected = published_formula(features[image], stack_of(labels[image], value))
        torch.testing.assert_close(ours[image], expected)


@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([5, 255, 256, 4000]))
def test_compact_labels_are_the_same_regions_without_gaps(seed: int, most: int):
    """A crop has some of the regions of its photo, under the photo's numbers."""
    generator = np.random.default_rng(seed)
    ids = np.concatenate([[0], 1 + generator.permutation(65_535)[:most]]).astype(np.int32)
    photos = torch.from_numpy(ids[generator.integers(0, most + 1, (2, 70, 80))])
    photos[0].view(-1)[: most + 1] = torch.from_numpy(ids)  # all of them occur
    compact = compact_labels(photos)
    assert compact.dtype == (torch.uint8 if most <= 255 else torch.int32)
    assert table_rows(compact) == (256 if most <= 255 else most + 1)
    for image, numbered in zip(photos, compact, strict=True):
        pairs = torch.stack([image.flatten(), numbered.flatten().int()]).unique(dim=1)
        assert torch.equal(pairs[0], image.unique()) and torch.equal(pairs[1], numbered.int().unique())
        assert int(numbered.max()) + 1 == pairs.shape[1] + int(pairs[0, 0] != 0)
    features = torch.randn(2, 2, 70, 80, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(mask_average_pool(features, compact), mask_average_pool(features, photos))


@given(seed=st.integers(0, 2**32 - 1))
def test_relabeling_changes_nothing(seed: int):
    labels = random_labels(seed)[None]
    new_ids = torch.tensor([0, 900, 4, 65535, 1, 17], dtype=torch.int32)
    features = torch.randn(1, 2, 9, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(
        mask_average_pool(features, new_ids[labels.long()]), mask_average_pool(features, labels)
    )


def test_gradient_equals_that_of_the_published_formula():
    features = torch.randn(1, 2, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = random_labels(3)
    weights = torch.randn(1, 2, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ours, dense = features.clone().requires_grad_(), features.clone().requires_grad_()
    (mask_average_pool(ours, labels[None], 0.25) * weights).sum().backward()
    (published_formula(dense[0], stack_of(labels, 0.25)) * weights[0]).sum().backward()
    torch.testing.assert_close(ours.grad, dense.grad)


def test_arguments_are_left_alone_and_half_precision_keeps_its_type():
    features = torch.rand(1, 2, 40, 40).half()
    labels = torch.ones(1, 40, 40, dtype=torch.int32)
    before = features.clone(), labels.clone()
    pooled = mask_average_pool(features, labels)
    assert pooled.dtype == torch.float16
    torch.testing.assert_close(pooled.float().mean(), features.float().mean(), atol=1e-3, rtol=0)
    assert torch.equal(features, before[0])
    assert torch.equal(labels, before[1])


def test_large_images_are_summed_without_losing_digits():
    """4.2 million pixels of 0.1: float32 would add them up with an error above 1e-5."""
    features = torch.full((1, 1, 2049, 2049), 0.1)
    pooled = mask_average_pool(features, torch.ones(1, 2049, 2049, dtype=torch.int32))
    assert abs(pooled[0, 0, 0, 0].item() - 0.1) < 1e-7


@given(
    regions=st.integers(1, 12),
    fraction=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    seed=st.integers(0, 999),
)
def test_dropout_drops_exactly_the_floor_of_the_share_of_the_regions_present(regions, fraction, seed):
    ids = np.random.default_rng(seed).choice(np.arange(1, 60), regions, replace=False)
    labels = torch.from_numpy(np.stack([np.resize(ids, (6, 6)), np.resize(ids[:1], (6, 6))]).astype(np.int32))
    torch.manual_seed(seed)
    dropped = drop_regions(labels, fraction)
    for before, after in zip(labels, dropped, strict=True):
        present = set(before.unique().tolist()) - {0}
        kept = set(after.unique().tolist()) - {0}
        assert kept <= present
        assert len(present) - len(kept) == int(fraction * len(present))
        assert torch.equal(after, torch.where(torch.isin(before, torch.tensor(sorted(kept))), before, 0))


@pytest.mark.parametrize(("regions", "fraction"), [(100, 0.53), (225, 0.52), (50, 0.58)])
def test_the_floor_is_that_of_exact_numbers(regions: int, fraction: float):
    """In float32, 0.53 * 100 is a little less than 53."""
    labels = torch.arange(1, regions + 1, dtype=torch.int32).reshape(1, 1, -1)
    assert (drop_regions(labels, fraction) == 0).sum() == int(regions * fraction)


def test_dropout_is_reproducible_and_drops_every_region_equally_often():
    labels = torch.arange(1, 9, dtype=torch.int32).repeat(8, 1)[None].repeat(500, 1, 1)
    torch.manual_seed(5)
    first = drop_regions(labels, 0.5)
    torch.manual_seed(5)
    assert torch.equal(first, drop_regions(labels, 0.5))
    dropped = (first[:, 0] == 0).float().mean(0)
    assert ((dropped - 0.5).abs() < 0.1).all()


@pytest.mark.data
@pytest.mark.parametrize(
    ("key", "value"), [("map_unit_mask_value_1", 1.0), ("map_unit_mask_value_1_over_255", 1 / 255)]
)
def test_parity_with_the_published_pooling(shared, key: str, value: float):
    expected = np.load(shared / "parity/expected.npz")
    labels = torch.from_numpy(read_label_map(shared / "parity/masks.npz"))[None]
    pooled = mask_average_pool(torch.from_numpy(expected["map_unit_input"]), labels, value)
    assert np.abs(pooled.numpy() - expected[key]).max() < 1e-4


def test_stacks_of_masks_go_through_the_label_map():
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2], masks[1, 3] = True, True
    labels = torch.from_numpy(from_stack(masks))[None]
    features = torch.arange(16, dtype=torch.float64).reshape(1, 1, 4, 4)
    expected = published_formula(features[0], torch.from_numpy(masks).double())
    torch.testing.assert_close(mask_average_pool(features, labels)[0], expected)


def test_sums_of_parts_add_up_to_those_of_the_image():
    features = torch.randn(2, 3, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.stack([random_labels(1), random_labels(2)])
    sums, areas = region_sums(features, labels, 6)
    assert sums.shape == (2, 3, 6) and areas.shape == (2, 1, 6) and areas.sum() == 2 * 9 * 7
    parts = [region_sums(features[..., part], labels[..., part], 6) for part in (slice(3), slice(3, None))]
    torch.testing.assert_close(sums, parts[0][0] + parts[1][0])
    assert torch.equal(areas, parts[0][1] + parts[1][1])
    pooled = look_up(region_means(sums, areas, 0.5), labels)
    torch.testing.assert_close(pooled, mask_average_pool(features, labels, 0.5), atol=1e-5, rtol=1e-5)
    assert torch.equal(region_means(sums, areas), region_means(sums, areas, 1.0)), (
        "at full strength unless told"
    )


@pytest.mark.filterwarnings("ignore:.*jit.trace.* is deprecated")
def test_a_table_has_a_row_for_each_id_and_in_a_traced_graph_for_each_that_there_can_be():
    labels = random_labels(0)[None]
    assert table_rows(labels) == 6
    traced = torch.jit.trace(lambda x: x.new_zeros(table_rows(x)), (labels,), check_trace=False)
    assert traced(labels).shape == (65536,)
