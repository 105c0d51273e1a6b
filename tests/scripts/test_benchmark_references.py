from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from basicsr.data.paired import PairedImageGroupMaskDataset, SampleIndex
from basicsr.masks import to_stack, write_label_map
from basicsr.masks.pooling import mask_average_pool
from basicsr.metrics import calculate_ssim
from basicsr.utils.image import write_png
from basicsr.utils.rng import sample_generator

REGIONS = 5


@pytest.fixture(scope="module")
def references():
    path = Path(__file__).resolve().parents[2] / "scripts" / "benchmark" / "references.py"
    spec = importlib.util.spec_from_file_location("benchmark_references", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_labels(height, width):
    """Every id of 0..REGIONS occurs."""
    labels = np.random.default_rng(0).integers(0, REGIONS + 1, (height, width), dtype=np.int32)
    assert np.unique(labels).size == REGIONS + 1
    return labels


@pytest.mark.parametrize("mask_value", [1.0, 1 / 255])
def test_pooling_over_a_dense_stack_equals_pooling_by_label_map(references, mask_value):
    labels = random_labels(13, 17)
    features = torch.rand(2, 13, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masks = torch.from_numpy(to_stack(labels))[:, None].double() * mask_value
    dense = references.dense_mask_average_pool(features, masks)
    pooled = mask_average_pool(features[None], torch.from_numpy(labels)[None], mask_value)[0]
    assert dense.std() > 1e-3
    torch.testing.assert_close(pooled, dense, rtol=0, atol=1e-6)


def test_ssim_by_dense_convolution_equals_the_separable_one(references):
    generator = np.random.default_rng(0)
    gt = cv2.GaussianBlur(generator.integers(0, 256, (24, 31, 3), dtype=np.uint8), (0, 0), 1)
    restored = np.clip(gt + generator.normal(0, 8, gt.shape), 0, 255).astype(np.uint8)
    separable = calculate_ssim(restored, gt)
    assert 0.2 < separable < 0.98
    assert references.dense_ssim(restored, gt, torch.float64) == pytest.approx(separable, abs=1e-10)
    assert references.dense_ssim(restored, gt) == pytest.approx(separable, abs=2e-4)


def test_a_sample_with_a_stack_equals_one_with_a_label_map(references, tmp_path):
    generator = np.random.default_rng(1)
    labels = random_labels(20, 24)
    images = {"gt": tmp_path / "gt" / "a.png", "lq": tmp_path / "lq" / "a.png"}
    for path in images.values():
        write_png(path, generator.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    write_label_map(tmp_path / "labels" / "a.png", labels)
    np.savez_compressed(tmp_path / "a.npz", masks=to_stack(labels)[:, None])
    dataset = PairedImageGroupMaskDataset(
        dataroot_gt=str(tmp_path / "gt"),
        dataroot_lq=str(tmp_path / "lq"),
        dataroot_mask=str(tmp_path / "labels"),
        gt_size=16,
        use_flip=True,
        use_rot=True,
        train=True,
    )
    for epoch in range(8):
        ours = dataset[SampleIndex(0, epoch)]
        dense = references.load_with_stack(images, tmp_path / "a.npz", 16, sample_generator(0, epoch, 0))
        for name in images:
            torch.testing.assert_close(ours[name], dense[name], rtol=0, atol=1e-6)
        planes = torch.stack([ours["labels"] == region for region in range(1, REGIONS + 1)])[:, None]
        assert torch.equal(planes.float(), dense["masks"])
