"""The list of transforms: its draws, its options, and transforms of one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from skimage.color import hsv2rgb, rgb2hsv

from basicsr.data import PairedImageGroupMaskDataset, SyntheticBlurDataset
from basicsr.data.paired import SampleIndex
from basicsr.data.transforms import (
    Arrays,
    RandomChannelShuffle,
    RandomCrop,
    RandomSaturation,
    Transform,
    build_transforms,
    usual_transforms,
)
from basicsr.masks import write_label_map
from basicsr.synthesis import PRESETS
from basicsr.utils.convert import Count
from basicsr.utils.errors import OptionError
from basicsr.utils.image import write_png
from basicsr.utils.registry import DATASETS, TRANSFORMS
from basicsr.utils.rng import sample_generator

CROP, FLIP, ROTATE = {"type": "RandomCrop", "size": 20}, {"type": "RandomFlip"}, {"type": "RandomRotate"}
LISTS = [
    ({}, []),
    ({"gt_size": 20}, [CROP]),
    ({"use_flip": True}, [FLIP]),
    ({"use_rot": True}, [ROTATE]),
    ({"gt_size": 20, "use_flip": True, "use_rot": True}, [CROP, FLIP, ROTATE]),
]


def example(language: str) -> str:
    """The block of code on transforms in datasets/README.md."""
    page = (Path(__file__).resolve().parents[2] / "datasets/README.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Transforms$(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture
def own_transforms(monkeypatch):
    """What is registered in a test is gone after it."""
    monkeypatch.setattr(TRANSFORMS, "_entries", {name: TRANSFORMS[name] for name in TRANSFORMS.names()})
    return TRANSFORMS


def labeled(folder, **options) -> PairedImageGroupMaskDataset:
    roots = {"dataroot_gt": f"{folder}/target", "dataroot_lq": f"{folder}/input"}
    options = {"train": True, "seed": 5, **options}
    return PairedImageGroupMaskDataset(**roots, dataroot_mask=f"{folder}/grouped_masks", **options)


def assert_same_samples(first, second, names=("gt", "lq", "labels")):
    for number in range(12):
        one, other = first[SampleIndex(number, 3)], second[SampleIndex(number, 3)]
        assert all(torch.equal(one[name], other[name]) for name in names)


@pytest.mark.parametrize(("options", "blocks"), LISTS)
def test_the_published_options_are_short_for_a_list(paired_set, options: dict, blocks: list):
    asked = {"gt_size": None, "use_flip": False, "use_rot": False, **options}
    assert usual_transforms(**asked) == blocks
    assert_same_samples(labeled(paired_set, **options), labeled(paired_set, transforms=blocks))


def test_the_draws_are_top_left_flip_turn_and_transposition(paired_set):
    """In this order, from the generator of the sample, so that runs can be repeated."""
    whole = labeled(paired_set)
    dataset = labeled(paired_set, transforms=[CROP, FLIP, ROTATE])
    for number in range(24):
        generator = sample_generator(5, 2, number)
        top, left = int(generator.integers(40 - 20 + 1)), int(generator.integers(48 - 20 + 1))
        flip, turn, transpose = (generator.random() < 0.5 for _ in range(3))
        expected = whole[SampleIndex(number, 2)]
        for name, tensor in dataset[SampleIndex(number, 2)].items():
            if name != "key":
                image = expected[name][..., top : top + 20, left : left + 20]
                image = image.flip(-1) if flip else image
                image = image.flip(-2) if turn else image
                assert torch.equal(tensor, image.transpose(-2, -1) if transpose else image)


def test_the_order_is_that_of_the_list(paired_set):
    first = labeled(paired_set, transforms=[CROP, FLIP])
    other = labeled(paired_set, transforms=[FLIP, CROP])
    samples = [(first[SampleIndex(n, 0)]["gt"], other[SampleIndex(n, 0)]["gt"]) for n in range(8)]
    assert not all(torch.equal(one, two) for one, two in samples)


def test_an_empty_list_is_whole_images_and_evaluation_has_no_transforms(paired_set):
    assert labeled(paired_set, transforms=[])[3]["gt"].shape == (3, 40, 48)
    whole = labeled(paired_set, transforms=[CROP, FLIP, ROTATE], train=False)
    assert_same_samples(whole, labeled(paired_set))


def test_crops_of_arrays_with_any_axes_in_front():
    arrays = {"clip": np.arange(7 * 3 * 9 * 8).reshape(7, 3, 9, 8), "labels": np.arange(72).reshape(9, 8)}
    cropped = RandomCrop(5)(arrays, np.random.default_rng(0))
    assert cropped["clip"].shape == (7, 3, 5, 5) and cropped["labels"].shape == (5, 5)
    assert np.array_equal(cropped["clip"][2, 1] - 7 * 72, cropped["labels"])
    extended = RandomCrop(5, margin=6)(arrays, np.random.default_rng(0))
    assert extended["clip"].shape == (7, 3, 11, 11)


def colored() -> dict[str, np.ndarray]:
    """A pair, a clip of 16 bits, and fields that are no images."""
    rng = np.random.default_rng(0)
    pair = {name: rng.integers(0, 256, (3, 9, 8), np.uint8) for name in ("lq", "gt")}
    return pair | {
        "clip": rng.integers(0, 65536, (2, 3, 9, 8), np.uint16),
        "mask": rng.integers(0, 256, (1, 9, 8), np.uint8),
        "labels": rng.integers(0, 9, (9, 8), np.int32),
        "frames of labels": rng.integers(0, 9, (3, 9, 8), np.int32),
    }


@pytest.mark.parametrize("transform", [RandomChannelShuffle(), RandomSaturation()])
def test_colors_change_in_images_alone(transform: Transform):
    arrays = colored()
    changed = transform(arrays, np.random.default_rng(2))
    assert list(changed) == list(arrays)
    for name, array in changed.items():
        assert array.shape == arrays[name].shape and array.dtype == arrays[name].dtype
        assert np.array_equal(array, arrays[name]) == (name in ("mask", "labels", "frames of labels"))


def test_channels_are_shuffled_in_one_order_of_six():
    arrays, orders = colored(), []
    generator = np.random.default_rng(0)
    for _ in range(600):
        changed = RandomChannelShuffle()(arrays, generator)
        order = [next(k for k in range(3) if np.array_equal(arrays["lq"][k], c)) for c in changed["lq"]]
        assert np.array_equal(changed["gt"], arrays["gt"][order])
        assert np.array_equal(changed["clip"], arrays["clip"][:, order])
        orders.append(tuple(order))
    counts = [orders.count(order) for order in set(orders)]
    # binomial of 600 and 1/6: 4 standard deviations are 37
    assert len(counts) == 6 and min(counts) > 100 - 37 and max(counts) < 100 + 37


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.5])
def test_saturation_is_that_of_hsv(factor: float):
    """Half a step for rounding, and what skimage's way to HSV and back loses in double precision."""
    arrays = colored()
    changed = RandomSaturation(factor, factor)(arrays, np.random.default_rng(0))
    for name in ("lq", "gt", "clip"):
        top = np.iinfo(arrays[name].dtype).max
        hsv = rgb2hsv(arrays[name] / top, channel_axis=-3)
        hsv[..., 1, :, :] *= factor
        expected = hsv2rgb(hsv, channel_axis=-3).clip(0, 1) * top
        # float32 has 24 bits, so values of 16 bits are off by less than 2^-7 beside their rounding
        assert np.abs(changed[name] - expected).max() < 0.5 + 0.01
    if factor == 1:
        assert all(np.array_equal(changed[name], array) for name, array in arrays.items())


def test_saturation_factors_are_uniform():
    arrays = {"gt": np.array([200, 100, 100], np.uint8).reshape(3, 1, 1)}
    generator = np.random.default_rng(0)
    factors = [(200 - RandomSaturation()(arrays, generator)["gt"][1, 0, 0]) / 100 for _ in range(400)]
    assert 0.5 <= min(factors) < 0.55 and 1.45 < max(factors) <= 1.5
    # the mean of 400 strays by 1 / sqrt(12 * 400)
    assert np.mean(factors) == pytest.approx(1, abs=4 / (12 * 400) ** 0.5)


def test_a_range_of_saturation_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="most 0.5 is below least 1.5"):
        RandomSaturation(1.5, 0.5)


def test_a_transform_of_ones_own_is_one_class(paired_set, own_transforms):
    """The example of the page on data sets."""
    exec(example("python"), {"__name__": "mine"})  # noqa: S102 - a page of this repository
    options = {
        "dataroot_gt": f"{paired_set}/target",
        "dataroot_lq": f"{paired_set}/input",
        "transforms": [FLIP, {"type": "RandomExposure", "least": "1e-1"}],
    }
    dataset = DATASETS.build("PairedImageDataset", options, train=True)
    bright = DATASETS.build("PairedImageDataset", options | {"transforms": [FLIP]}, train=True)
    ratios = []
    for number in range(6):
        dim, full = dataset[SampleIndex(number, 0)], bright[SampleIndex(number, 0)]
        assert (dim["gt"] <= full["gt"]).all() and (dim["lq"] <= full["lq"]).all()
        ratios.append(float(dim["gt"].sum() / full["gt"].sum()))
    assert min(ratios) > 0.08 and max(ratios) - min(ratios) > 0.1
    with pytest.raises(OptionError) as caught:
        DATASETS.build(
            "PairedImageDataset", options | {"transforms": [{"type": "RandomExposure", "most": 1}]}
        )
    assert caught.value.mistakes == [
        "transforms[0].most: RandomExposure has no such option. Known: least (got 1)"
    ]


def test_the_list_of_the_page_on_data_sets_is_that_of_the_published_options():
    blocks = yaml.safe_load(example("yaml"))["datasets"]["train"]["transforms"]
    assert blocks == usual_transforms(256, use_flip=True, use_rot=True)


def test_both_ways_at_once_are_refused(paired_set):
    with pytest.raises(ValueError, match="transforms stand in place of gt_size, use_flip and use_rot"):
        labeled(paired_set, transforms=[FLIP], use_flip=True)


def test_the_margin_is_no_option():
    with pytest.raises(OptionError, match="margin: RandomCrop has no such option. Known: size"):
        build_transforms([CROP | {"margin": 4}])


@pytest.fixture
def photos(tmp_path):
    blocks = np.random.default_rng(0).integers(0, 256, (12, 14, 3)).astype(np.uint8)
    write_png(tmp_path / "sharp/a.png", blocks.repeat(10, 0).repeat(10, 1))
    write_label_map(
        tmp_path / "labels/a.png", np.arange(6).reshape(2, 3).repeat(60, 0).repeat(47, 1)[:, :140]
    )
    return {"dataroot_gt": f"{tmp_path}/sharp", "dataroot_mask": f"{tmp_path}/labels"}


def test_crops_of_photos_that_are_then_blurred_are_larger_by_the_kernels(photos, own_transforms):
    @own_transforms.register
    @dataclass
    class Corner(Transform):
        """The upper left corner."""

        side: Count
        margin: int = 0
        one_size = True

        def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
            end = self.side + self.margin
            return {name: array[..., :end, :end] for name, array in arrays.items()}

    options = {**photos, "train": True, "on_device": False, "min_object_area": 50}
    usual = SyntheticBlurDataset(**options, gt_size=20, use_flip=True, use_rot=True)
    listed = SyntheticBlurDataset(**options, transforms=[CROP, FLIP, ROTATE])
    assert listed[0]["gt"].shape == (3, 20, 20)
    assert_same_samples(usual, listed)
    corner = SyntheticBlurDataset(**options, transforms=[{"type": "Corner", "side": 30}])
    sample = corner[0]
    assert sample["lq"].shape == (3, 30, 30) and sample["labels"].shape == (30, 30)
    assert corner.margin == PRESETS["realistic"].kernel_size - 1
