"""Clips are judged in the better direction; published numbers."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from basicsr.layers.normalization import IMAGENET
from basicsr.metrics.clip import (
    better_direction,
    calculate_flow_error,
    calculate_ppsnr,
    calculate_pssim,
    calculate_still_ppsnr,
)
from basicsr.metrics.psnr_ssim import calculate_psnr
from tests.sister_parity import fixture


def clip(seed: int = 0, frames: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 24, 28, 3), np.uint8)


def noisy(frames: np.ndarray, deviation: float) -> np.ndarray:
    noise = deviation * np.random.default_rng(1).standard_normal(frames.shape)
    return (frames + noise).round().clip(0, 255).astype(np.uint8)


def test_published_values_of_both_directions():
    _, _, arrays = fixture("hypercut_metrics")
    pictures = {
        name: 255 * IMAGENET.undo(arrays[f"in_{name}"][0].double()).movedim(1, -1).numpy()
        for name in ("pred_fwd", "pred_rev", "gt")
    }
    for name in ("pred_fwd", "pred_rev"):
        values = calculate_ppsnr(pictures[name], pictures["gt"])
        np.testing.assert_allclose(values, arrays[f"out_{name}_ppsnr"], rtol=1e-5)
        assert np.mean(values) == pytest.approx(float(arrays[f"out_{name}_ppsnr_mean"]), rel=1e-5)
        plain = [calculate_psnr(*pair) for pair in zip(pictures[name], pictures["gt"], strict=True)]
        np.testing.assert_allclose(plain, arrays[f"out_{name}_psnr"], rtol=1e-5)


@pytest.mark.parametrize("judge", [calculate_ppsnr, calculate_pssim, calculate_flow_error])
def test_reversed_predictions_are_worth_the_same(judge):
    gt = clip()
    restored = noisy(gt, 9)
    assert judge(restored[::-1], gt) == pytest.approx(judge(restored, gt), rel=1e-9)


def test_values_stand_in_the_order_of_the_reference():
    gt = clip()
    restored = gt.copy()
    restored[0] ^= 255
    there = calculate_ppsnr(restored, gt)
    assert there[0] < 10 and all(math.isinf(value) for value in there[1:])
    assert calculate_ppsnr(restored[::-1], gt) == there


def test_a_perfect_middle_frame_does_not_decide_for_the_others():
    gt = clip()
    restored = noisy(gt, 9)
    restored[2] = gt[2]
    assert calculate_ppsnr(restored[::-1], gt) == calculate_ppsnr(restored, gt)
    assert min(calculate_ppsnr(restored[::-1], gt)) > 20


def test_a_still_clip_repeats_the_predicted_middle_frame():
    gt = clip()
    restored = noisy(gt, 9)
    still = calculate_still_ppsnr(restored, gt)
    assert sorted(still) == sorted(calculate_psnr(restored[2], frame) for frame in gt)
    assert calculate_still_ppsnr(still_clip := np.stack([restored[2]] * 5), gt) == still
    assert calculate_ppsnr(still_clip, gt) == still


def test_the_direction_is_chosen_by_the_mean_and_not_frame_by_frame():
    gt = np.arange(4)[:, None, None, None].astype(float)
    restored = np.array([0, 9, 1, 0])[:, None, None, None].astype(float)

    def judge(one, other) -> float:
        return float(np.abs(one - other).item())

    assert better_direction(restored, gt, judge, "lower") == [0, 0, 7, 3]
    assert better_direction(restored, gt, judge, "higher") == [0, 8, 1, 3]
    assert better_direction(restored[::-1], gt, judge, "lower") == [0, 0, 7, 3]


def test_flow_is_in_pixels_and_a_still_clip_lacks_all_of_it():
    coarse = np.random.default_rng(0).random((16, 24, 3)).astype(np.float32)
    wide = (255 * np.kron(coarse, np.ones((6, 6, 1)))).astype(np.uint8)
    wide = cv2.GaussianBlur(wide, (0, 0), 3)
    gt = np.stack([wide[:, 2 * number : 2 * number + 100] for number in range(4)])
    assert calculate_flow_error(gt, gt) == [0, 0, 0]
    assert calculate_flow_error(gt[::-1], gt) == [0, 0, 0]
    still = np.stack([gt[1]] * 4)
    assert np.mean(calculate_flow_error(still, gt)) == pytest.approx(2, abs=0.2)


def test_other_shapes_are_refused():
    for judge in (calculate_ppsnr, calculate_pssim, calculate_flow_error):
        with pytest.raises(ValueError, match="clips .* are compared"):
            judge(clip(frames=3), clip(frames=5))
