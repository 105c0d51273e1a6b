"""Luma of deraining papers: MATLAB's conversion in closed form, and both metrics on it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from basicsr.metrics import (
    calculate_input_psnr_y,
    calculate_input_ssim_y,
    calculate_psnr,
    calculate_psnr_y,
    calculate_ssim_2d,
    calculate_ssim_y,
)
from basicsr.metrics.base import facts_of
from basicsr.metrics.luma import rgb_to_luma


def pair(seed: int = 0, size: tuple[int, int] = (40, 33)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gt = rng.integers(0, 256, (*size, 3), np.uint8)
    return (gt + rng.normal(0, 20, gt.shape)).clip(0, 255).astype(np.uint8), gt


def exact(red: int, green: int, blue: int) -> Fraction:
    """ITU-R BT.601 as rgb2ycbcr has it."""
    weights = (Fraction(65481, 1000), Fraction(128553, 1000), Fraction(24966, 1000))
    return 16 + sum(w * value for w, value in zip(weights, (red, green, blue), strict=True)) / 255


def test_luma_is_the_closed_formula() -> None:
    image, _ = pair()
    image[0, :4] = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]
    rounded, exactly = rgb_to_luma(image), rgb_to_luma(image, rounded=False)
    unit = rgb_to_luma(image / 255)
    for row, column in np.ndindex(image.shape[:2]):
        value = exact(*map(int, image[row, column]))
        assert rounded[row, column] == math.floor(value + Fraction(1, 2))
        assert exactly[row, column] == pytest.approx(float(value), abs=1e-12)
        assert unit[row, column] == pytest.approx(float(value), abs=1e-12)
    assert rounded[0, :4].tolist() == [16, 235, 81, 41]  # white, red and blue of BT.601 in 8 bits


def test_halves_are_rounded_upwards() -> None:
    """Of all colors, those whose luma lies in the middle of two whole numbers."""
    blue, green = np.arange(256), np.arange(256)[:, None]
    found = 0
    for red in range(0, 256, 5):
        weighted = 65481 * red + 128553 * green + 24966 * blue
        for g, b in np.argwhere(weighted % 255000 == 127500):
            color = np.array([[[red, g, b]]], np.uint8)
            assert rgb_to_luma(color)[0, 0] == exact(red, int(g), int(b)) + Fraction(1, 2)
            found += 1
    assert found > 3


@pytest.mark.parametrize("rounded", [True, False])
def test_psnr_is_that_of_luma_in_the_range_of_255(rounded: bool) -> None:
    restored, gt = pair()
    ours, theirs = (rgb_to_luma(image, rounded) for image in (restored, gt))
    expected = 10 * math.log10(255**2 / np.mean((ours - theirs) ** 2))
    assert calculate_psnr_y(restored, gt, rounded=rounded) == pytest.approx(expected, abs=1e-12)


def test_gray_images_that_differ_by_one_step() -> None:
    """219/255 of a step of gray is a step of luma or none; 100 -> 101.88, 101 -> 102.74, so 102 and 103."""
    images = (np.full((16, 16, 3), value, np.uint8) for value in (100, 101))
    assert calculate_psnr_y(*images) == pytest.approx(20 * math.log10(255), abs=1e-12)
    images = (np.full((16, 16, 3), value, np.uint8) for value in (100, 101))
    assert calculate_psnr_y(*images, rounded=False) == pytest.approx(20 * math.log10(255**2 / 219), abs=1e-9)


def test_without_rounding_it_is_the_luma_of_the_other_metric() -> None:
    restored, gt = pair()
    # the other one is in float32
    assert calculate_psnr_y(restored, gt, rounded=False) == pytest.approx(
        calculate_psnr(restored, gt, test_y_channel=True), abs=1e-4
    )
    assert calculate_ssim_y(restored, gt, rounded=False) == pytest.approx(
        calculate_ssim_2d(restored, gt, test_y_channel=True), abs=1e-6
    )


def dense_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. (2004), equation 13, over all 11x11 windows inside of the image."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def mean(image: np.ndarray) -> np.ndarray:
        return np.einsum("hwij,ij->hw", np.lib.stride_tricks.sliding_window_view(image, (11, 11)), window)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    a, b = mean(x), mean(y)
    covariance, variances = mean(x * y) - a * b, mean(x * x) - a * a + mean(y * y) - b * b
    return float(
        ((2 * a * b + c1) * (2 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2))).mean()
    )


def test_ssim_is_that_of_valid_windows() -> None:
    restored, gt = pair()
    ours, theirs = rgb_to_luma(restored), rgb_to_luma(gt)
    assert calculate_ssim_y(restored, gt) == pytest.approx(dense_ssim(ours, theirs), abs=1e-10)
    by_scikit = structural_similarity(
        ours, theirs, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert calculate_ssim_y(restored, gt) == pytest.approx(by_scikit, abs=1e-10)


def test_border_input_and_equal_images() -> None:
    restored, gt = pair()
    inside = [image[4:-4, 4:-4] for image in (restored, gt)]
    for metric, of_input in (
        (calculate_psnr_y, calculate_input_psnr_y),
        (calculate_ssim_y, calculate_input_ssim_y),
    ):
        assert metric(restored, gt, crop_border=4) == metric(*inside) == of_input(*inside)
        assert facts_of(of_input.__name__).input_of == metric.__name__
        assert facts_of(metric.__name__).short_name.endswith("-Y")
    assert calculate_psnr_y(gt, gt) == math.inf and calculate_ssim_y(gt, gt) == pytest.approx(1, abs=1e-12)


def test_black_images_keep_the_range_of_255() -> None:
    black, gt = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    assert calculate_psnr_y(black, gt) == pytest.approx(20 * math.log10(255 / 219), abs=1e-12)


def test_images_smaller_than_a_window_are_refused() -> None:
    with pytest.raises(ValueError, match="SSIM of luma needs at least 11x11 pixels .*, got 10x33"):
        calculate_ssim_y(*pair(size=(10, 33)))
