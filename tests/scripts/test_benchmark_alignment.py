"""The direct formulation that aligned evaluation is timed against gives the same scores."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from basicsr.metrics.alignment import aligned_scores


@pytest.fixture(scope="module")
def references():
    path = Path(__file__).resolve().parents[2] / "scripts" / "benchmark" / "references.py"
    spec = importlib.util.spec_from_file_location("benchmark_references_of_alignment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shift", [(0, 0), (4, -3)])
def test_aligned_scores_equal_the_direct_formulation(references, shift):
    generator = np.random.default_rng(0)
    scene = cv2.GaussianBlur(generator.uniform(0, 255, (130, 150, 3)), (0, 0), 2)
    scene = (scene - scene.min()) / np.ptp(scene) * 200 + 20
    down, right = shift
    gt = scene[15:115, 15:135].round().astype(np.uint8)
    moved = scene[15 + down : 115 + down, 15 + right : 135 + right]
    restored = (0.9 * moved + generator.normal(0, 6, moved.shape)).clip(0, 255).round().astype(np.uint8)
    psnr, ssim = references.direct_aligned_scores(restored, gt)
    ours = aligned_scores(restored, gt)
    assert 20 < psnr < 40 and 0.5 < ssim < 0.99
    assert ours.psnr == pytest.approx(psnr, abs=1e-3)
    assert ours.ssim == pytest.approx(ssim, abs=1e-5)
