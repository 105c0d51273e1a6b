"""Training from sharp photos alone: samples are pairs, repeatable, and the same on the training device."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from basicsr.data import SyntheticBlurDataset
from basicsr.data.paired import SampleIndex
from basicsr.masks import write_label_map
from basicsr.synthesis import Draw
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import write_png
from basicsr.utils.registry import DATASETS

SIZE = 65


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(3):
        blocks = generator.integers(0, 256, (12, 14, 3)).astype(np.uint8)
        write_png(tmp_path / f"sharp/{number}.png", blocks.repeat(10, 0).repeat(10, 1))
        labels = np.arange(1, 7).reshape(2, 3).repeat(60, 0).repeat(47, 1)[:, :140]
        write_label_map(tmp_path / f"labels/{number}.png", labels)
    return tmp_path


def synthetic(folder, **options) -> SyntheticBlurDataset:
    options = {"train": True, "gt_size": 32, "min_object_area": 50, "on_device": False, **options}
    return SyntheticBlurDataset(
        dataroot_gt=f"{folder}/sharp",
        dataroot_mask=f"{folder}/labels",
        use_flip=True,
        use_rot=True,
        **options,
    )


def test_options_are_checked_like_those_of_every_data_set(folder):
    options = {"dataroot_gt": f"{folder}/sharp", "gt_size": 32, "preset": "gopro"}
    dataset = DATASETS.build("SyntheticBlurDataset", options, seed=3, train=True)
    assert (dataset.seed, dataset.train, dataset.preset) == (3, True, "gopro")
    with pytest.raises(OptionError, match="preset: expected one of sbdd, gopro, realistic"):
        DATASETS.build("SyntheticBlurDataset", options | {"preset": "gorpo"})
    with pytest.raises(OptionError, match="dataroot_lq: SyntheticBlurDataset has no such option"):
        DATASETS.build("SyntheticBlurDataset", options | {"dataroot_lq": f"{folder}/sharp"})


def test_samples_are_pairs_with_labels(folder):
    dataset = synthetic(folder)
    assert dataset.delivers == ("gt", "lq", "labels")
    sample = dataset[SampleIndex(1, 0)]
    assert sample["key"] == "1"
    assert sample["gt"].shape == sample["lq"].shape == (3, 32, 32)
    assert sample["labels"].shape == (32, 32) and sample["labels"].dtype == torch.int32
    assert not torch.equal(sample["gt"], sample["lq"])


def test_a_sample_depends_on_seed_epoch_and_number_alone(folder):
    dataset, again = synthetic(folder, seed=1), synthetic(folder, seed=1)
    torch.manual_seed(5)
    first = dataset[SampleIndex(2, 3)]["lq"]
    torch.manual_seed(6)
    assert torch.equal(first, again[SampleIndex(2, 3)]["lq"])
    assert not torch.equal(first, dataset[SampleIndex(2, 4)]["lq"])
    assert not torch.equal(first, dataset[SampleIndex(5, 3)]["lq"])
    assert not torch.equal(first, synthetic(folder, seed=2)[SampleIndex(2, 3)]["lq"])


def test_labels_lie_on_the_pixels_of_the_target(folder):
    """Photos whose value is their label, and an exposure so short that nothing moves."""
    for number in range(3):
        labels = np.arange(1, 7).reshape(2, 3).repeat(60, 0).repeat(47, 1)[:, :140]
        write_png(folder / f"sharp/{number}.png", (labels[..., None] * [40, 40, 40]).astype(np.uint8))
    dataset = synthetic(folder, preset="gopro", exposure=(1e-6, 1e-6), max_objects=0)
    for number in range(8):
        sample = dataset[SampleIndex(number, 0)]
        assert torch.equal((sample["gt"][0] * 255 / 40).round().int(), sample["labels"])
        assert torch.equal(sample["gt"], sample["lq"])


def test_the_device_gives_what_the_workers_give(folder):
    order = [SampleIndex(number, 1) for number in range(4)]
    at_once = default_collate([synthetic(folder)[which] for which in order])
    later = synthetic(folder, on_device=True, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    batch = default_collate([later[which] for which in order])
    assert "lq" not in batch and batch["sharp"].shape == (4, 3, 32 + SIZE - 1, 32 + SIZE - 1)
    completed = later.complete(batch, torch.device("cpu"))
    assert set(completed) == {"lq", "gt", "labels", "key"}
    for name in ("lq", "gt"):
        torch.testing.assert_close(later.denormalize(completed[name]), at_once[name])
    assert torch.equal(completed["labels"], at_once["labels"])
    assert synthetic(folder).complete(at_once, torch.device("cpu")) is at_once


def test_workers_give_the_same_batches(folder):
    dataset = synthetic(folder)
    order = [[SampleIndex(0, 0), SampleIndex(1, 0)], [SampleIndex(2, 0), SampleIndex(3, 0)]]
    alone = list(DataLoader(dataset, batch_sampler=order))
    spread = list(DataLoader(dataset, batch_sampler=order, num_workers=2))
    for a, b in zip(alone, spread, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in ("lq", "gt", "labels"))


def test_evaluation_blurs_whole_photos_always_alike(folder):
    dataset = synthetic(folder, train=False, on_device=True)
    sample = dataset[1]
    assert sample["lq"].shape == sample["gt"].shape == (3, 120 - SIZE + 1, 140 - SIZE + 1)
    assert sample["labels"].shape == (56, 76)
    assert torch.equal(sample["lq"], synthetic(folder, train=False)[1]["lq"])


def test_without_masks_photos_of_any_size_train(tmp_path):
    write_png(tmp_path / "sharp/a.png", np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8))
    options = {"dataroot_gt": f"{tmp_path}/sharp", "on_device": False}
    dataset = SyntheticBlurDataset(**options, gt_size=32, train=True)
    assert dataset.delivers == ("gt", "lq")
    assert dataset[0]["lq"].shape == (3, 32, 32)
    write_label_map(tmp_path / "labels/a.png", np.ones((50, 40), np.int32))
    for masks in ({}, {"dataroot_mask": f"{tmp_path}/labels"}):
        with pytest.raises(UserError, match=r"sharp/a.png: has 40x50 pixels, kernels 65x65"):
            SyntheticBlurDataset(**options, **masks)[0]


@pytest.mark.parametrize(("height", "width", "fits"), [(65, 65, True), (64, 80, False), (80, 64, False)])
def test_a_photo_may_be_as_small_as_the_kernels(tmp_path, height: int, width: int, fits: bool):
    write_png(tmp_path / "a.png", np.full((height, width, 3), 90, np.uint8))
    dataset = SyntheticBlurDataset(dataroot_gt=str(tmp_path), preset="gopro")
    if fits:
        assert dataset[0]["lq"].shape == (3, 1, 1)
    else:
        with pytest.raises(UserError, match=f"{width}x{height} pixels"):
            dataset[0]


@pytest.mark.parametrize(("asked", "has_gpu", "postponed"), [
    (None, True, True), (None, False, False), (True, False, True), (False, True, False),
])  # fmt: skip
def test_blur_is_left_to_the_device_where_asked_or_where_there_is_a_gpu(
    folder, monkeypatch, asked, has_gpu: bool, postponed: bool
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    assert ("sharp" in synthetic(folder, on_device=asked)[0]) == postponed
    assert "lq" in synthetic(folder, on_device=asked, train=False)[0], "never in evaluation"


def test_objects_of_a_postponed_sample_are_as_many_as_there_can_be(folder):
    dataset = synthetic(folder, on_device=True, preset="sbdd", max_objects=7, min_object_area=0)
    sample = dataset[0]
    assert sample["objects"].shape == (7, 96, 96) and sample["kernels"].shape == (8, 65, 65)
    sums = sample["kernels"].sum((1, 2))
    used = int(sample["objects"].flatten(1).any(1).sum())
    assert used >= 1
    torch.testing.assert_close(sums, torch.tensor([1.0] * (1 + used) + [0.0] * (7 - used)))


def test_objects_are_the_regions_that_were_drawn(folder):
    dataset, count = synthetic(folder, on_device=True), 0
    radius = SIZE // 2
    for number in range(12):
        sample = dataset[SampleIndex(number, 0)]
        draw = msgspec.json.decode(sample["draw"], type=Draw)
        regions = [motion.region for motion in draw.motions[1:]]
        count += len(regions)
        for region, plane in zip(regions, sample["objects"], strict=False):
            assert torch.equal(plane[radius:-radius, radius:-radius], sample["labels"] == region)
        assert not sample["objects"][len(regions) :].any()
    assert count > 5


def test_kernels_are_drawn_from_a_folder(folder):
    still = np.zeros((3, 3))
    still[1, 1] = 1
    (folder / "kernels").mkdir()
    np.save(folder / "kernels" / "still.npy", still)
    sample = synthetic(folder, kernels=f"{folder}/kernels", preset="gopro")[0]
    torch.testing.assert_close(sample["lq"], sample["gt"], atol=1.01 / 255, rtol=0)
