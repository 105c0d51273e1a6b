"""Each image is restored, seen by the metrics as asked for, and counted once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.config.schema import DatasetOptions, MetricOptions, ValOptions
from basicsr.data.loader import evaluation_loader
from basicsr.data.paired import PairedImageDataset, PairedImageGroupMaskDataset
from basicsr.data.sampler import ShareSampler
from basicsr.engine.evaluator import Evaluation, build_metrics, evaluate, interleave
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.dist import Ranks
from basicsr.utils.image import read_rgb

CPU = torch.device("cpu")
PLAIN = ValOptions()


class Brighter(RestorationNetwork):
    """Adds 1.4 grey values."""

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        return x + 1.4 / 255


def run(dataset, metrics, options=PLAIN, **more):
    model = ImageRestorationModel({"g": Brighter()}, {})
    model.train()
    loading = DatasetOptions(type="PairedImageDataset", name="set", num_worker_per_gpu=0)
    loader = evaluation_loader(dataset, loading, Ranks())
    result = evaluate(model, loader, "set", metrics, options, CPU, Ranks(), **more)
    assert model.training, "the mode is the one before"
    return result


@pytest.fixture
def pairs(paired_set) -> PairedImageDataset:
    """The degraded images are three grey values brighter than their targets."""
    return PairedImageDataset(dataroot_gt=f"{paired_set}/target", dataroot_lq=f"{paired_set}/input")


def spy(seen: list):
    def metric(restored, gt, lq) -> float:
        seen.append((restored, gt, lq))
        return float(len(seen))

    return metric


def test_metrics_see_8_bit_images_as_they_would_be_written(pairs):
    seen: list = []
    result = run(pairs, {"count": spy(seen)})
    assert [row["key"] for row in result.rows] == [f"photo_{number}" for number in range(6)]
    assert [row["count"] for row in result.rows] == [1, 2, 3, 4, 5, 6]
    assert result.mean == {"count": 3.5} and result.name == "set" and result.kept == []
    for number, (restored, gt, lq) in enumerate(seen):
        assert restored.dtype == gt.dtype == lq.dtype == np.uint8
        assert restored.shape == gt.shape == lq.shape == (40, 48, 3)
        assert (gt[..., 2] == 10 * number).all(), "RGB, the blue channel is the number"
        assert np.array_equal(lq, gt + 3) and np.array_equal(restored, gt + 4), "3 + 1.4, rounded"


def test_unrounded_values_are_those_of_the_network_in_0_to_1(pairs):
    seen: list = []
    run(pairs, {"count": spy(seen)}, ValOptions(use_image=False))
    restored, gt, lq = seen[5]
    assert restored.dtype == np.float64
    np.testing.assert_allclose(restored - gt, 4.4 / 255, atol=1e-6)
    np.testing.assert_allclose(lq - gt, 3 / 255, atol=1e-6)
    assert gt[3, 5].tolist() == pytest.approx([12 / 255, 20 / 255, 50 / 255])


def test_networks_of_bgr_are_written_and_judged_with_channels_in_reverse(pairs, tmp_path):
    seen: list = []
    run(pairs, {"count": spy(seen)}, ValOptions(rgb2bgr=False), picture=lambda key: tmp_path / f"{key}.png")
    restored, gt, _ = seen[2]
    assert (gt[..., 0] == 20).all()
    assert np.array_equal(read_rgb(tmp_path / "photo_2.png"), restored)


def test_pictures_are_what_metrics_saw(pairs, tmp_path):
    seen: list = []
    run(pairs, {"count": spy(seen)}, picture=lambda key: tmp_path / f"{key}.png")
    assert len(list(tmp_path.glob("*.png"))) == 6
    assert np.array_equal(read_rgb(tmp_path / "photo_4.png"), seen[4][0])


def test_normalized_images_are_judged_as_they_are_in_the_files(paired_set):
    roots = {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    seen: list = []
    run(PairedImageDataset(**roots, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)), {"count": spy(seen)})
    restored, gt, lq = seen[3]
    assert np.array_equal(lq, gt + 3)
    # what the network adds to normalized images counts half: 3 + 0.7
    assert np.array_equal(restored, gt + 4)


def test_what_is_kept_of_an_image(pairs, paired_set):
    kept = run(pairs, {"one": lambda restored, gt, lq: 1.0}, keep=lambda judged: judged).kept
    assert [judged.key for judged in kept] == [f"photo_{number}" for number in range(6)]
    assert kept[2].values == {"one": 1.0} and kept[2].labels is None
    assert kept[2].places["lq"] == f"{paired_set}/input/photo_2.png"
    labelled = PairedImageGroupMaskDataset(
        dataroot_gt=f"{paired_set}/target",
        dataroot_lq=f"{paired_set}/input",
        dataroot_mask=f"{paired_set}/grouped_masks",
    )
    (first, *_) = run(labelled, {}, keep=lambda judged: judged).kept
    assert first.labels.shape == (40, 48) and set(np.unique(first.labels)) == {0, 1, 2, 3}


def test_metrics_get_the_images_that_they_ask_for():
    metrics = build_metrics({"shown": MetricOptions(type="calculate_psnr", options={"crop_border": 0})})
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    restored, gt, lq = images
    mean_square = np.mean((restored.astype(float) - gt) ** 2)
    assert metrics["shown"](restored, gt, lq) == pytest.approx(10 * np.log10(255**2 / mean_square))
    assert build_metrics({}) == {}


def test_the_mean_of_nothing_is_nothing():
    assert Evaluation("set", []).mean == {}
    rows = [{"key": "a", "psnr": 1.0, "ssim": 0.5}, {"key": "b", "psnr": 2.0, "ssim": 0.0}]
    assert Evaluation("set", rows).mean == {"psnr": 1.5, "ssim": 0.25}


@given(size=st.integers(0, 30), world=st.integers(1, 6))
def test_shares_of_processes_come_back_in_order(size: int, world: int):
    shares = [list(ShareSampler(size, rank, world)) for rank in range(world)]
    assert interleave(shares) == list(itertools.chain(range(size)))
