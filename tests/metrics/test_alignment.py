"""Aligned PSNR and SSIM: what alignment undoes, masks by hand, and the direct formulation."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from basicsr.metrics import calculate_psnr, calculate_psnr_aligned, calculate_ssim_2d, calculate_ssim_aligned
from basicsr.metrics.alignment import (
    Aligned,
    align,
    aligned_scores,
    find_homography,
    masked_psnr,
    masked_ssim,
)
from basicsr.utils.image import read_rgb
from basicsr.utils.registry import METRICS


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A smooth texture larger than the images cut from it, (160, 200, 3) in 0.1..0.9."""
    generator = np.random.default_rng(0)
    image = sum(cv2.GaussianBlur(generator.normal(size=(160, 200, 3)), (0, 0), s) * s for s in (1.5, 3, 8))
    return (0.1 + 0.8 * (image - image.min()) / np.ptp(image)).astype(np.float32)


def window(scene: np.ndarray, down: int = 0, right: int = 0) -> np.ndarray:
    return np.ascontiguousarray(scene[20 + down : 140 + down, 20 + right : 180 + right])


def noisy(image: np.ndarray) -> np.ndarray:
    """With noise so smooth that interpolation between pixels keeps it."""
    noise = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 0.2, image.shape), (0, 0), 1.5)
    return (image + noise).astype(np.float32)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (0, -4), (-2, 5)])
def test_a_shifted_and_dimmed_copy_scores_as_the_one_in_place(scene, down: int, right: int) -> None:
    gt = window(scene)
    degraded = noisy(scene)
    here = aligned_scores(window(degraded), gt)
    there = aligned_scores(0.7 * window(degraded, down, right), gt)
    assert 20 < here.psnr < 35 and 0.3 < here.ssim < 0.95
    assert there.psnr == pytest.approx(here.psnr, abs=0.3)
    assert there.ssim == pytest.approx(here.ssim, abs=0.01)
    if down or right:
        assert calculate_psnr(window(degraded, down, right), gt) < here.psnr - 5


def test_the_homography_is_found(scene) -> None:
    """A known one is applied; ECC finds it back to a tenth of a pixel at the corners."""
    gt = window(scene)
    true = np.array([[1.01, 0.006, -2.0], [-0.004, 0.99, 1.5], [1e-5, -2e-5, 1]], np.float64)
    moved = cv2.warpPerspective(gt, true, (160, 120), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    found = find_homography(moved, gt)
    corners = np.array([[[10, 10], [150, 10], [10, 110], [150, 110]]], np.float32)
    expected = cv2.perspectiveTransform(corners, true)
    np.testing.assert_allclose(cv2.perspectiveTransform(corners, found), expected, atol=0.1)


def test_the_search_ends_where_it_stands_still_and_not_before(scene, monkeypatch) -> None:
    """It ends long before 100 iterations, and goes on while corners still creep."""
    rounds = []
    find = cv2.findTransformECC

    def counted(template, image, warp, *rest):
        rounds.append(warp.copy())  # it is changed in place
        return find(template, image, warp, *rest)

    monkeypatch.setattr(cv2, "findTransformECC", counted)
    gt = window(scene)
    for true in (np.eye(3), np.array([[1.03, 0.01, -4.0], [-0.01, 0.97, 3.0], [4e-5, -6e-5, 1]])):
        moved = cv2.warpPerspective(gt, true, (160, 120), flags=cv2.INTER_CUBIC)
        rounds.clear()
        found = find_homography(moved, gt)
        assert len(rounds) < 15, "of 20 rounds of 5 iterations"
        corners = np.array([[[0, 0], [160, 0], [0, 120], [160, 120]]], np.float32)
        last, place = (cv2.perspectiveTransform(corners, np.float32(warp)) for warp in (rounds[-1], found))
        assert np.abs(last - place).max() < 1e-3
        if len(rounds) > 2:
            before = cv2.perspectiveTransform(corners, np.float32(rounds[-2]))
            assert np.abs(last - before).max() >= 1e-3, "the round before had moved a corner"


def test_a_homography_that_leaves_no_pixel_is_not_taken(scene, monkeypatch) -> None:
    away = np.array([[1, 0, 1000], [0, 1, 0], [0, 0, 1]], np.float32)
    monkeypatch.setattr("basicsr.metrics.alignment.find_homography", lambda source, target: away)
    gt = window(scene)
    aligned = align(gt, gt)
    assert aligned.valid.all()
    np.testing.assert_allclose(aligned.restored, gt, atol=1e-6)


def test_an_image_of_one_window_is_scored(scene) -> None:
    gt, restored = scene[:11, :11], noisy(scene[:11, :11])
    everywhere = Aligned(restored, gt, np.ones((11, 11), bool))
    assert masked_ssim(everywhere) == pytest.approx(calculate_ssim_2d(restored, gt), abs=1e-12)


def test_brightness_is_matched_by_the_factor_of_least_squares(scene) -> None:
    gt = window(scene)
    aligned = align(0.5 * gt, gt)
    assert np.abs(aligned.restored - gt)[aligned.valid].max() < 1e-3


def test_pixels_from_outside_do_not_count(scene) -> None:
    gt = window(scene)
    aligned = align(window(scene, 0, 6), gt)
    assert not aligned.valid[:, :5].any(), "these columns are not in the restored image"
    assert aligned.valid[:, 8:].mean() > 0.99
    for image in (aligned.restored, aligned.gt):
        assert image[~aligned.valid].max(initial=0) == 0
    inside = np.s_[:, 8:]
    expected = calculate_psnr(aligned.restored[inside], aligned.gt[inside])
    assert masked_psnr(aligned) == pytest.approx(expected, abs=0.2)


def test_masked_psnr_by_hand() -> None:
    """Two valid pixels, one of them wrong by 0.1 in one channel: the mean square is 0.01 / 6."""
    gt, restored = np.zeros((2, 2, 3), np.float32), np.zeros((2, 2, 3), np.float32)
    restored[0, 0, 1] = 0.1
    valid = np.array([[True, True], [False, False]])
    assert masked_psnr(Aligned(restored, gt, valid)) == pytest.approx(-10 * math.log10(0.01 / 6), abs=1e-5)
    assert masked_psnr(Aligned(gt, gt, valid)) == math.inf


def test_masked_ssim_without_a_mask_is_ssim_2d(scene) -> None:
    gt = window(scene)
    restored = noisy(gt).clip(0, 1)
    everywhere = Aligned(restored, gt, np.ones(gt.shape[:2], bool))
    assert masked_ssim(everywhere) == pytest.approx(calculate_ssim_2d(restored, gt), abs=1e-12)


def test_masked_ssim_leaves_out_invalid_pixels_and_the_border() -> None:
    """Constant halves: in the valid one, away from the other, only the luminance term is left."""
    gt, restored = np.full((30, 40, 3), 0.4, np.float32), np.full((30, 40, 3), 0.8, np.float32)
    restored[:, 20:] = gt[:, 20:]
    valid = np.zeros((30, 40), bool)
    valid[:, :15] = True
    c1 = 0.01**2
    expected = (2 * 0.4 * 0.8 + c1) / (0.4**2 + 0.8**2 + c1)
    assert masked_ssim(Aligned(restored, gt, valid)) == pytest.approx(expected, abs=1e-6)
    valid[:] = False
    valid[2, :] = True
    assert math.isnan(masked_ssim(Aligned(restored, gt, valid))), "only pixels of the border are valid"


def test_where_ecc_fails_nothing_moves() -> None:
    """A flat image has no gradient to follow."""
    gt = np.full((40, 50, 3), 0.5, np.float32)
    flat = np.full((40, 50, 3), 0.25, np.float32)
    np.testing.assert_array_equal(find_homography(flat, gt), np.eye(3))
    assert align(flat, gt).valid.all()


def test_a_black_image_is_scored() -> None:
    gt = np.full((40, 50, 3), 0.5, np.float32)
    assert calculate_psnr_aligned(np.zeros_like(gt), gt) == pytest.approx(-20 * math.log10(0.5), abs=1e-4)


def test_8_bit_and_float_images_agree(scene) -> None:
    gt, restored = (
        np.round(image * 255).clip(0, 255) for image in (window(scene), window(noisy(scene), 2, 1))
    )
    as_bytes = aligned_scores(restored.astype(np.uint8), gt.astype(np.uint8))
    as_floats = aligned_scores(restored / 255, gt / 255)
    assert as_bytes == pytest.approx(as_floats, abs=1e-5)


def test_option_files_name_the_metrics(scene) -> None:
    gt, restored = window(scene), window(noisy(scene), 1, 1)
    both = aligned_scores(restored, gt)
    for name, expected in (("calculate_psnr_aligned", both.psnr), ("calculate_ssim_aligned", both.ssim)):
        assert METRICS.build(name, {})(restored=restored, gt=gt) == expected


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["GOPR0374_11_00_st_frame-1195_n_avg-8", "GOPR0477_11_00_st_frame-165_n_avg-8"]
)
def test_stopping_early_changes_no_digit_that_is_shown(shared, name: str) -> None:
    """On real blur, whose ECC takes 10 to 25 iterations, against all 100."""
    pairs = shared / "data" / "pairs" / "gopro_raw240"
    blurry, gt = (
        np.float32(read_rgb(pairs / kind / f"{name}.png")[200:520, 300:800] / 255)
        for kind in ("input", "target")
    )
    found = find_homography(blurry, gt)
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (gt, blurry)]
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 0.0)
    start = np.eye(3, dtype=np.float32)
    _, full = cv2.findTransformECC(*gray, start, cv2.MOTION_HOMOGRAPHY, criteria, None, 5)
    corners = np.array([[[0, 0], [500, 0], [0, 320], [500, 320]]], np.float32)
    there, expected = (cv2.perspectiveTransform(corners, warp) for warp in (found, full))
    assert np.abs(expected - corners).max() > 0.05
    np.testing.assert_allclose(there, expected, atol=0.01)


class TestRefused:
    def test_sizes_that_differ(self, scene) -> None:
        with pytest.raises(ValueError, match=r"\(120, 160, 3\).*\(119, 160, 3\)"):
            calculate_psnr_aligned(window(scene), window(scene)[1:])

    def test_images_smaller_than_the_window(self) -> None:
        small = np.full((10, 30, 3), 0.5)
        with pytest.raises(ValueError, match="11x11 pixels, got 10x30"):
            calculate_ssim_aligned(small, small)
