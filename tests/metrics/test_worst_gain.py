"""The worst gain of a set, plain and after alignment."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from basicsr.metrics.alignment import calculate_psnr_aligned
from basicsr.metrics.psnr_ssim import calculate_psnr
from basicsr.metrics.worst_gain import WorstGain


def scene() -> np.ndarray:
    noise = np.random.default_rng(0).uniform(0, 255, (96, 112, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 200 + 20).astype(np.uint8)


def test_a_gain_is_the_difference_of_two_figures_and_the_worst_one_counts():
    gt = scene()
    near, far = gt + np.uint8(3), gt + np.uint8(12)
    worst = WorstGain()
    # A shift of all values by d has a PSNR of 20 log10(255 / d).
    better, worse = worst(near, gt, far), worst(far, gt, near)
    assert better == pytest.approx(20 * math.log10(12 / 3)) and worse == pytest.approx(-better)
    assert worst.summarize([better, worse, 0.0]) == worse


def test_the_worst_share_is_a_mean_of_whole_images_at_least_one():
    gains = [float(gain) for gain in range(40)]
    assert WorstGain(share=0.05).summarize(gains) == 0.5
    assert WorstGain(share=0.06).summarize(gains) == 1.0
    assert WorstGain(share=0.05).summarize(gains[7:10]) == 7.0
    assert WorstGain(share=1).summarize(gains) == 19.5


def test_what_was_perfect_and_stays_so_gains_nothing():
    gt = scene()
    assert WorstGain()(gt, gt, gt) == 0.0
    assert WorstGain()(gt + np.uint8(1), gt, gt) == -math.inf


def test_a_shift_is_no_loss_after_alignment():
    wide = scene()
    gt, shifted = wide[:, 3:-3], wide[:, 5:-1]
    blurred = cv2.GaussianBlur(gt, (0, 0), 1.5)
    assert WorstGain()(shifted, gt, blurred) < 0
    aligned = WorstGain(aligned=True)(shifted, gt, blurred)
    assert aligned == calculate_psnr_aligned(shifted, gt) - calculate_psnr_aligned(blurred, gt) > 0
    assert calculate_psnr(shifted, gt) < calculate_psnr(blurred, gt)
