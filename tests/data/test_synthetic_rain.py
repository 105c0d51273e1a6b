"""Deraining from sharp photos alone: the additive model, and which rain falls when."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from basicsr.data import SyntheticRainDataset
from basicsr.data.paired import SampleIndex
from basicsr.masks import write_label_map
from basicsr.synthesis import RAIN, rain_layer
from basicsr.utils.errors import OptionError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.registry import DATASETS
from basicsr.utils.rng import sample_generator


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        photo = np.random.default_rng(number).integers(0, 256, (60, 70, 3), np.uint8)
        write_png(tmp_path / f"{number}.png", photo)
    return str(tmp_path)


def test_lq_is_gt_and_streaks_clipped(folder) -> None:
    dataset = SyntheticRainDataset(dataroot_gt=folder, preset="heavy")
    sample = dataset[1]
    generator = sample_generator(0, 0, zlib.crc32(b"1"))
    layer = torch.from_numpy(rain_layer(60, 70, RAIN["heavy"], generator))
    assert torch.equal(sample["lq"], (sample["gt"] + layer).clamp(0, 1))
    assert (layer > 0.3).any() and (sample["lq"] == 1).any()
    assert sample["lq"].min() >= 0 and sample["lq"].max() <= 1


def test_label_maps_are_cropped_and_flipped_with_the_photo(folder, tmp_path_factory) -> None:
    """Each photo is its own label map: what is bright in its red channel is a region."""
    masks = tmp_path_factory.mktemp("masks")
    for number in range(3):
        red = read_rgb(Path(folder) / f"{number}.png")[..., 0]
        write_label_map(masks / f"{number}.png", (red > 127).astype(np.int32))
    root = str(masks)
    dataset = SyntheticRainDataset(
        dataroot_gt=folder, dataroot_mask=root, gt_size=16, use_flip=True, use_rot=True, train=True
    )
    assert dataset.delivers == ("gt", "lq", "labels")
    for epoch in range(4):
        sample = dataset[SampleIndex(0, epoch)]
        assert torch.equal(sample["labels"], (sample["gt"][0] > 127.5 / 255).int())


def test_without_streaks_the_photo_stays(folder) -> None:
    for train in (False, True):
        sample = SyntheticRainDataset(dataroot_gt=folder, density=(0.0, 0.0), train=train)[2]
        assert torch.equal(sample["lq"], sample["gt"])


def test_crops_come_first_and_rain_changes_from_epoch_to_epoch(folder) -> None:
    options = {"dataroot_gt": folder, "gt_size": 32, "use_flip": True, "use_rot": True, "train": True}
    dataset, again = (SyntheticRainDataset(**options, seed=7) for _ in range(2))
    sample = dataset[SampleIndex(1, 2)]
    assert sample["gt"].shape == sample["lq"].shape == (3, 32, 32)
    assert torch.equal(sample["lq"], again[SampleIndex(1, 2)]["lq"])
    rain = [(dataset[which]["lq"] - dataset[which]["gt"]) for which in (SampleIndex(1, 2), SampleIndex(1, 3))]
    assert not torch.equal(*rain)
    angled = SyntheticRainDataset(**options, seed=7, angle=(60.0, 60.0))
    assert torch.equal(angled[SampleIndex(1, 2)]["gt"], sample["gt"]), "crops do not depend on the rain"
    assert not torch.equal(angled[SampleIndex(1, 2)]["lq"], sample["lq"])


def test_in_evaluation_a_photo_always_has_its_own_rain(folder, tmp_path) -> None:
    dataset = SyntheticRainDataset(dataroot_gt=folder, seed=1)
    (tmp_path / "list.txt").write_text("2.png\n0.png\n")
    other = SyntheticRainDataset(dataroot_gt=folder, seed=2, meta_info_file=str(tmp_path / "list.txt"))
    assert torch.equal(dataset[2]["lq"], other[0]["lq"])
    rain = [dataset[number]["lq"] - dataset[number]["gt"] for number in (0, 1)]
    assert not torch.equal(*rain)


def test_normalization_comes_last(folder) -> None:
    plain = SyntheticRainDataset(dataroot_gt=folder)[0]
    dataset = SyntheticRainDataset(dataroot_gt=folder, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    for name in ("gt", "lq"):
        torch.testing.assert_close(dataset.denormalize(dataset[0][name]), plain[name])


def test_options_are_checked(folder) -> None:
    options = {"dataroot_gt": folder, "preset": "heavy", "layers": [1, 2], "angle": [-5, 5]}
    assert DATASETS.build("SyntheticRainDataset", options, seed=3, train=True).layers == (1, 2)
    with pytest.raises(OptionError, match="preset: expected one of light, heavy"):
        DATASETS.build("SyntheticRainDataset", options | {"preset": "hevy"})
    with pytest.raises(ValueError, match="density: expected two increasing numbers"):
        SyntheticRainDataset(dataroot_gt=folder, density=(2.0, 1.0))
