"""Layers by their formulas."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr.layers.local_pool import LocalAvgPool2d, to_local
from basicsr.layers.map_unit import PUBLISHED_MASK_VALUE, MapFeatures, MaskAveragePool
from basicsr.layers.norm import LayerNorm2d
from basicsr.layers.padding import SizeRule, repeat_edge
from basicsr.masks.pooling import mask_average_pool
from basicsr.utils.registry import ARCHS


def test_layer_norm_normalizes_the_channels_of_each_pixel():
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    norm = LayerNorm2d(5).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    expected = (x - mean) / (variance + 1e-6).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.sampled_from([1, 4, 16]))
def test_padding_makes_multiples_and_cropping_undoes_it(height: int, width: int, multiple: int):
    x = torch.rand(1, 2, height, width)
    rule = SizeRule(multiple)
    padded = rule.pad(x)
    assert padded.shape[-2] % multiple == padded.shape[-1] % multiple == 0
    assert padded.shape[-2] - height < multiple
    assert torch.equal(rule.crop(padded, height, width), x)
    assert torch.equal(padded[..., height:, :width], x[..., -1:, :].expand_as(padded[..., height:, :width]))
    assert torch.equal(padded[..., width:], padded[..., width - 1 : width].expand_as(padded[..., width:]))


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.sampled_from([1, 4, 16]))
def test_padding_with_zeros_adds_zeros(height: int, width: int, multiple: int):
    x = torch.rand(1, 2, height, width) + 1
    rule = SizeRule(multiple, "zeros")
    padded = rule.pad(x)
    assert padded.shape == SizeRule(multiple).pad(x).shape
    assert torch.equal(rule.crop(padded, height, width), x)
    assert padded[..., height:, :].abs().sum() == padded[..., width:].abs().sum() == 0


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.sampled_from([1, 4, 16]))
def test_padding_of_labels_is_uncovered(height: int, width: int, multiple: int):
    labels = torch.randint(1, 9, (1, height, width), dtype=torch.int32)
    rule = SizeRule(multiple)
    padded = rule.pad_labels(labels)
    assert padded.shape == rule.pad(labels[:, None])[:, 0].shape
    assert torch.equal(rule.crop(padded, height, width), labels)
    assert padded.sum() == labels.sum()


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    padding=st.sampled_from(["edge", "zeros", "reflect"]),
    square=st.booleans(),
)
def test_centered_padding_is_that_of_numpy_and_cropping_undoes_it(size, padding, square: bool):
    rule = SizeRule(16, padding, square=square, centered=True)
    x = torch.rand(2, *size)
    padded = rule.pad(x)
    rows, columns = (length - own for length, own in zip(padded.shape[-2:], size, strict=True))
    around = [(0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
    mode = {"edge": "edge", "zeros": "constant", "reflect": "reflect"}[padding]
    np.testing.assert_array_equal(padded.numpy(), np.pad(x.numpy(), around, mode=mode))
    assert torch.equal(rule.crop(padded, *size), x)
    labels = rule.pad_labels(torch.ones(size, dtype=torch.int32))
    assert labels.shape == padded.shape[-2:] and labels.sum() == size[0] * size[1]
    assert (rule.crop(labels, *size) == 1).all()


def local_mean_by_definition(x: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """TLC as stated: valid box means, replicated to the size of the input."""
    height, width = x.shape[-2:]
    rows, columns = min(window[0], height), min(window[1], width)
    if (rows, columns) == (height, width):
        return x.mean((2, 3), keepdim=True)
    means = torch.nn.functional.avg_pool2d(x, (rows, columns), stride=1)
    top, left = (height - means.shape[2]) // 2, (width - means.shape[3]) // 2
    bottom, right = height - means.shape[2] - top, width - means.shape[3] - left
    return torch.nn.functional.pad(means, (left, right, top, bottom), mode="replicate")


@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    window=st.tuples(st.integers(1, 14), st.integers(1, 14)),
)
def test_local_pool_is_the_box_mean_of_its_definition(size, window):
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(LocalAvgPool2d(window)(x), local_mean_by_definition(x, window))


def test_local_pool_of_half_precision_is_accumulated_in_float32():
    x = (torch.rand(1, 1, 300, 300) + 50).half()
    result = LocalAvgPool2d((100, 100))(x)
    torch.testing.assert_close(
        result.float(), local_mean_by_definition(x.float(), (100, 100)), atol=0.05, rtol=0
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_local_pooling_has_the_same_gradient_when_compiled():
    # Convolutions on both sides: their layout in memory is what torch.compile chooses.
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), LocalAvgPool2d((8, 9)), torch.nn.Conv2d(16, 4, 1)
    ).double()  # in float32, each kernel adds up the 1,200 places in an order of its own
    x, gradients = torch.randn(2, 3, 20, 30, dtype=torch.float64), []
    for run in (net, torch.compile(net)):
        gradients.append(torch.autograd.grad(run(x).square().sum(), list(net.parameters())))
    torch.testing.assert_close(*gradients)


def test_windows_are_fixed_at_one_and_a_half_times_the_training_size():
    options = {"width": 4, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}
    net = ARCHS.build("NAFNet", options)
    names = set(net.state_dict())
    to_local(net, (1, 3, 64, 32))
    windows = [module.window for module in net.modules() if isinstance(module, LocalAvgPool2d)]
    assert sorted(windows) == [(24, 12), (48, 24), (48, 24), (96, 48), (96, 48)]
    assert set(net.state_dict()) == names
    assert net.training
    assert not any(module._forward_pre_hooks for module in net.modules()), "nothing is left behind"


def test_map_is_dropped_out_in_training_only():
    features, labels = torch.rand(1, 2, 8, 8), torch.arange(1, 65, dtype=torch.int32).reshape(1, 8, 8)
    unit = MaskAveragePool(mask_dropout=0.5)
    assert torch.equal(unit.eval()(features, labels), mask_average_pool(features, labels))
    trained = unit.train()(features, labels)
    untouched = (trained == features).all(1).sum()
    assert untouched == 32
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = unit(features, labels)
        torch.manual_seed(1)
        assert torch.equal(first, unit(features, labels))


def test_map_runs_in_float32_under_autocast():
    features = torch.full((1, 1, 64, 64), 3.0)
    labels = torch.ones(1, 64, 64, dtype=torch.int32)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = MaskAveragePool()(features, labels)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, features)


@pytest.mark.parametrize(
    "options",
    [
        {"mask_dropout": 1.5},
        {"mask_dropout": 1.01},
        {"mask_dropout": -0.01},
        {"mask_value": 0.0},
        {"mask_value": -0.5},
        {"mask_value": 1.01},
    ],
)
def test_map_refuses_values_outside_its_ranges(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MaskAveragePool(**options)


@pytest.mark.parametrize("options", [{"mask_dropout": 0}, {"mask_dropout": 1}, {"mask_value": 1}])
def test_map_takes_the_ends_of_its_ranges(options):
    MaskAveragePool(**options)


def test_published_masks_were_divided_by_255():
    assert 1 / PUBLISHED_MASK_VALUE == 255


def test_map_takes_means_of_a_whole_image_for_a_part_of_it():
    means = torch.tensor([[[9.0, 1.0, 2.0], [8.0, 3.0, 4.0]]])
    labels = torch.tensor([[[0, 1], [2, 2]]])
    for unit in (MaskAveragePool(mask_dropout=1.0).train(), MaskAveragePool().eval()):
        pooled = unit(torch.rand(1, 2, 2, 2), labels, means)
        assert pooled.tolist() == [[[[9, 1], [2, 2]], [[8, 3], [4, 4]]]]


def test_map_names_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(1, 4, 5\).*\(1, 2, 4, 4\)"):
        MaskAveragePool()(torch.rand(1, 2, 4, 4), torch.ones(1, 4, 5, dtype=torch.int32))


def test_map_features_are_constant_inside_a_region():
    labels = torch.ones(1, 6, 6, dtype=torch.int32)
    labels[:, 3:] = 2
    features = MapFeatures(seg_channel=3)(torch.rand(1, 3, 6, 6), labels)
    assert features.shape == (1, 3, 6, 6)
    for half in (features[:, :, :3], features[:, :, 3:]):
        # Every pixel looks up the same mean.
        assert torch.equal(half.flatten(2).amin(2), half.flatten(2).amax(2))


def test_map_features_are_two_convolutions_pooled_by_its_rule():
    """Three by three with a margin of zeros, then one by one, as the published weights have them."""
    unit = MapFeatures(mask_dropout=0.25, mask_value=0.5).double().eval()
    assert (unit.pool.mask_dropout, unit.pool.mask_value) == (0.25, 0.5)
    shapes = {name: tuple(weight.shape) for name, weight in unit.named_parameters()}
    assert shapes == {
        "pre_seg.weight": (2, 3, 3, 3),
        "pre_seg.bias": (2,),
        "pre_seg_in.weight": (2, 2, 1, 1),
        "pre_seg_in.bias": (2,),
    }
    image = torch.rand(1, 3, 5, 6, dtype=torch.float64)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1)
    first = torch.einsum("bchwij,ocij->bohw", windows, unit.pre_seg.weight) + unit.pre_seg.bias[:, None, None]
    second = torch.einsum("bchw,oc->bohw", first, unit.pre_seg_in.weight[..., 0, 0])
    expected = second + unit.pre_seg_in.bias[:, None, None]
    torch.testing.assert_close(unit.features(image), expected)
    labels = torch.randint(0, 3, (1, 5, 6), dtype=torch.int32)
    torch.testing.assert_close(unit(image, labels), mask_average_pool(unit.features(image), labels, 0.5))


@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    more=st.tuples(*[st.integers(0, 4)] * 4),
)
def test_edges_are_repeated_on_each_side_as_often_as_asked(size, more):
    image = torch.rand(2, *size)
    bottom, right, top, left = more
    expected = torch.nn.functional.pad(image[None], (left, right, top, bottom), mode="replicate")[0]
    assert torch.equal(repeat_edge(image, bottom, right, top, left), expected)
    assert torch.equal(repeat_edge(image, bottom, right), expected[:, top:, left:])


def test_sizes_need_no_multiple_unless_a_network_says_so():
    image = torch.rand(1, 3, 5, 7)
    assert torch.equal(SizeRule().pad(image), image)
