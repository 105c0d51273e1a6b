"""PSNR and SSIM: arithmetic, definitions written out, published numbers, invariants."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from basicsr.metrics import (
    calculate_input_psnr,
    calculate_input_ssim,
    calculate_psnr,
    calculate_ssim,
    calculate_ssim_2d,
)
from basicsr.utils.errors import OptionError
from basicsr.utils.image import read_rgb
from basicsr.utils.registry import METRICS

# Luma is averaged in float32 by the published code and by ours. NumPy sums the 160 * 128 values in pairs of
# blocks and so rounds each less than 32 times; some 30 decibels are rounded to float32 as well.
LUMA_DECIBELS = 10 / math.log(10) * 32 * float(np.finfo(np.float32).eps) + float(np.spacing(np.float32(30)))

SSIMS = [calculate_ssim, calculate_ssim_2d]


def noisy_pair(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth RGB image and a noisy copy, uint8."""
    rng = np.random.default_rng(seed)
    clean = cv2.resize(rng.uniform(30, 220, (4, 4, 3)), (width, height), interpolation=cv2.INTER_LINEAR)
    noisy = clean + rng.normal(0, 12, clean.shape)
    return noisy.clip(0, 255).round().astype(np.uint8), clean.round().astype(np.uint8)


def constant(value: float, dtype: type = np.uint8) -> np.ndarray:
    return np.full((16, 18, 3), value, dtype)


pairs = st.builds(noisy_pair, st.integers(0, 2**32 - 1), st.integers(11, 40), st.integers(11, 40))
few = settings(max_examples=25, deadline=None)


def dense_ssim_3d(x: np.ndarray, y: np.ndarray, peak: float) -> float:
    """The definition: one volume, an 11x11x11 Gaussian, every axis padded by 5 replicated values, float64."""
    positions = np.arange(-5, 6)
    line = np.exp(-(positions**2) / (2 * 1.5**2))
    line /= line.sum()
    window = line[:, None, None] * line[None, :, None] * line[None, None, :]

    def smooth(volume: np.ndarray) -> np.ndarray:
        padded = np.pad(volume, 5, mode="edge")
        return np.einsum(
            "hwcijk,ijk->hwc", np.lib.stride_tricks.sliding_window_view(padded, (11, 11, 11)), window
        )

    x, y = x.astype(np.float64), y.astype(np.float64)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_x, mean_y = smooth(x), smooth(y)
    variance_x, variance_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    covariance = smooth(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float((luminance * structure).mean())


def test_twenty_decibels_by_arithmetic() -> None:
    """An error of a tenth of the range everywhere is -20 log10(0.1) dB."""
    assert calculate_psnr(constant(0.6, np.float64), constant(0.5, np.float64)) == pytest.approx(20, abs=1e-9)


@pytest.mark.parametrize(("restored", "gt"), [(255, 0), (100, 101), (10, 250)])
def test_psnr_of_constants(restored: int, gt: int) -> None:
    expected = 20 * math.log10(255 / abs(restored - gt))
    assert calculate_psnr(constant(restored), constant(gt)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("restored", [0, 1])
def test_black_restored_image_switches_the_range_to_one(restored: int) -> None:
    expected = -20 * math.log10(10 - restored)
    assert calculate_psnr(constant(restored), constant(10)) == pytest.approx(expected, abs=1e-12)
    assert calculate_psnr(constant(10), constant(restored)) == pytest.approx(expected + 20 * math.log10(255))


@pytest.mark.parametrize("ssim", SSIMS)
def test_ssim_of_constants_is_its_luminance_term(ssim) -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(constant(100), constant(150)) == pytest.approx(expected, abs=1e-10)


@few
@given(pair=pairs)
def test_equal_images(pair) -> None:
    image, _ = pair
    assert calculate_psnr(image, image) == math.inf
    assert calculate_psnr(image, image, test_y_channel=True) == math.inf
    for ssim in SSIMS:
        assert ssim(image, image) == pytest.approx(1, abs=1e-12)
        assert ssim(image, image, test_y_channel=True) == pytest.approx(1, abs=1e-12)


@few
@given(pair=pairs, luma=st.booleans())
def test_metrics_are_symmetric_where_both_images_exceed_one(pair, luma: bool) -> None:
    restored, gt = pair
    for metric in (calculate_psnr, *SSIMS):
        there, back = (metric(*images, test_y_channel=luma) for images in ((restored, gt), (gt, restored)))
        assert there == pytest.approx(back, abs=1e-12)


@few
@given(pair=pairs)
def test_ssim_is_below_one_for_different_images(pair) -> None:
    assert all(-1 <= ssim(*pair) < 1 for ssim in SSIMS)


@few
@given(pair=pairs)
def test_order_of_the_colors_does_not_matter_except_for_luma(pair) -> None:
    flipped = [image[..., ::-1] for image in pair]
    for metric in (calculate_psnr, *SSIMS):
        assert metric(*flipped) == pytest.approx(metric(*pair), abs=1e-12)
    assert calculate_psnr(*flipped, test_y_channel=True) != calculate_psnr(*pair, test_y_channel=True)


@few
@given(pair=pairs, luma=st.booleans())
def test_channels_first_and_border(pair, luma: bool) -> None:
    channels_first = [image.transpose(2, 0, 1) for image in pair]
    inside = [image[3:-3, 3:-3] for image in pair]
    for metric in (calculate_psnr, calculate_ssim):
        assert metric(*channels_first, 0, "CHW", luma) == metric(*pair, 0, "HWC", luma)
        assert metric(*pair, crop_border=3, test_y_channel=luma) == metric(*inside, test_y_channel=luma)


@few
@given(pair=pairs, luma=st.booleans())
def test_float_images_in_unit_range_agree_with_8_bit_images(pair, luma: bool) -> None:
    scaled = [image / 255 for image in pair]
    assert calculate_psnr(*scaled, test_y_channel=luma) == pytest.approx(
        calculate_psnr(*pair, test_y_channel=luma), abs=1e-5
    )
    for ssim in SSIMS:
        assert ssim(*scaled, test_y_channel=luma) == pytest.approx(ssim(*pair, test_y_channel=luma), abs=1e-9)


@pytest.mark.parametrize("size", [(20, 17), (5, 30), (1, 1)])
def test_ssim_is_the_dense_3d_convolution(size: tuple[int, int]) -> None:
    restored, gt = noisy_pair(3, *size)
    assert calculate_ssim(restored, gt) == pytest.approx(dense_ssim_3d(restored, gt, 255), abs=1e-10)
    unit = (restored / 255, gt / 255)
    assert calculate_ssim(*unit) == pytest.approx(dense_ssim_3d(*unit, 1), abs=1e-10)


@pytest.mark.parametrize("metric", [calculate_psnr, calculate_ssim, calculate_ssim_2d])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images_are_left_as_they_are(metric, dtype) -> None:
    gt, restored = (np.random.default_rng(seed).uniform(0, 1, (20, 24, 3)).astype(dtype) for seed in (0, 1))
    before = gt.copy(), restored.copy()
    metric(restored, gt)
    assert np.array_equal(gt, before[0]) and np.array_equal(restored, before[1])


def test_ssim_of_an_image_taller_than_a_band_is_the_dense_3d_convolution() -> None:
    restored, gt = noisy_pair(4, 150, 12)
    assert calculate_ssim(restored, gt) == pytest.approx(dense_ssim_3d(restored, gt, 255), abs=1e-10)


@few
@given(pair=pairs)
def test_2d_ssim_equals_scikit_image(pair) -> None:
    from skimage.metrics import structural_similarity

    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = structural_similarity(*pair, channel_axis=2, **settings)
    assert calculate_ssim_2d(*pair) == pytest.approx(expected, abs=1e-10)
    assert calculate_ssim(*pair, ssim3d=False) == calculate_ssim_2d(*pair)
    luma = [(image / 255 @ np.array([65.481, 128.553, 24.966]) + 16).astype(np.float32) for image in pair]
    expected = structural_similarity(*(plane.astype(np.float64) for plane in luma), **settings)
    assert calculate_ssim_2d(*pair, test_y_channel=True) == pytest.approx(expected, abs=1e-10)


def test_luma_ssim_keeps_the_border_and_ignores_ssim3d() -> None:
    """The SSIM map has the size of the image, unlike that of the valid windows."""
    restored, gt = noisy_pair(5, 30, 24)
    padded = [cv2.copyMakeBorder(image, 5, 5, 5, 5, cv2.BORDER_REPLICATE) for image in (restored, gt)]
    luma = calculate_ssim(restored, gt, test_y_channel=True)
    assert luma == pytest.approx(calculate_ssim_2d(*padded, test_y_channel=True), abs=1e-12)
    assert luma == calculate_ssim(restored, gt, test_y_channel=True, ssim3d=False)


@pytest.mark.parametrize(
    ("key", "metric", "options", "tolerance"),
    [
        ("psnr", calculate_psnr, {}, 1e-6),
        ("psnr_crop4", calculate_psnr, {"crop_border": 4}, 1e-6),
        ("psnr_y", calculate_psnr, {"test_y_channel": True}, LUMA_DECIBELS),
        ("ssim", calculate_ssim, {}, 2e-4),
        ("ssim_crop4", calculate_ssim, {"crop_border": 4}, 2e-4),
        ("ssim_y", calculate_ssim, {"test_y_channel": True}, 2e-4),
        ("ssim_per_channel_2d", calculate_ssim, {"ssim3d": False}, 1e-8),
        ("ssim_per_channel_2d", calculate_ssim_2d, {}, 1e-8),
    ],
)
def test_published_numbers(shared: Path, key: str, metric, options: dict, tolerance: float) -> None:
    expected = json.loads((shared / "parity" / "metrics.json").read_text())[key]
    restored, gt = (read_rgb(shared / "parity" / name) for name in ("input.png", "target.png"))
    assert metric(restored, gt, **options) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("metric", [calculate_psnr, *SSIMS])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_tensors_are_judged_as_the_arrays_that_they_hold(metric, dtype: torch.dtype) -> None:
    tensors = [torch.from_numpy(image) for image in noisy_pair(2, 20, 24)]
    if dtype.is_floating_point:
        tensors = [(tensor.to(dtype) / 255).requires_grad_() for tensor in tensors]
    arrays = [tensor.detach().numpy() for tensor in tensors]
    assert metric(*tensors) == metric(*arrays)
    assert metric(tensors[0], arrays[1]) == metric(*arrays)
    channels_first = [tensor.permute(2, 0, 1) for tensor in tensors]
    assert metric(*channels_first, input_order="CHW") == metric(*arrays)


@pytest.mark.parametrize("metric", [calculate_psnr, *SSIMS])
class TestRefused:
    def test_an_unknown_order_names_the_choices(self, metric) -> None:
        with pytest.raises(ValueError, match="input_order: expected one of HWC, CHW, got 'WRONG'"):
            metric(constant(1), constant(2), input_order="WRONG")

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
    def test_tensors_of_other_types(self, metric, dtype: torch.dtype) -> None:
        output = f"uint8 (0..255), float32 or float64 (0..1), got {str(dtype)[6:]}"
        with pytest.raises(ValueError, match=re.escape(output)):
            metric(torch.zeros(16, 16, 3, dtype=dtype), torch.zeros(16, 16, 3, dtype=dtype))

    def test_what_is_neither_array_nor_tensor(self, metric) -> None:
        with pytest.raises(ValueError, match="NumPy arrays or tensors, got list"):
            metric([[[1, 2, 3]]], [[[1, 2, 3]]])

    def test_shapes_that_differ_are_both_named(self, metric) -> None:
        with pytest.raises(ValueError, match=r"\(16, 18, 3\).*\(16, 20, 3\)"):
            metric(constant(9), np.zeros((16, 20, 3), np.uint8))

    def test_types_that_differ_are_both_named(self, metric) -> None:
        with pytest.raises(ValueError, match=r"uint8.*float32"):
            metric(constant(9), constant(0.5, np.float32))

    @pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float16])
    def test_other_types(self, metric, dtype: type) -> None:
        with pytest.raises(ValueError, match=np.dtype(dtype).name):
            metric(constant(1, dtype), constant(1, dtype))

    @pytest.mark.parametrize("shape", [(16, 16), (3, 16, 16), (16, 16, 6), (2, 16, 16, 3)])
    def test_other_layouts(self, metric, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
            metric(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("border", [-1, 8])
    def test_borders_that_leave_nothing(self, metric, border: int) -> None:
        with pytest.raises(ValueError, match=rf"crop_border {border}.*16x18"):
            metric(constant(1), constant(1), crop_border=border)


@pytest.mark.parametrize(
    ("of_input", "of_result", "options"),
    [
        (calculate_input_psnr, calculate_psnr, {"crop_border": 2}),
        (calculate_input_ssim, calculate_ssim, {"crop_border": 2}),
        (calculate_input_ssim, calculate_ssim, {"test_y_channel": True}),
        (calculate_input_ssim, calculate_ssim, {"ssim3d": False}),
    ],
)
def test_metrics_of_the_input_are_those_of_a_network_that_changes_nothing(
    of_input, of_result, options: dict
) -> None:
    lq, gt = noisy_pair(6, 20, 24)
    assert of_input(lq, gt, **options) == of_result(lq, gt, **options) != of_result(lq, gt)
    assert of_input(lq, gt) == of_result(lq, gt)


def test_2d_ssim_of_an_image_smaller_than_its_window_is_refused() -> None:
    small = noisy_pair(0, 10, 40)
    with pytest.raises(ValueError, match="10x40"):
        calculate_ssim_2d(*small)
    with pytest.raises(ValueError, match="8x10"):
        calculate_ssim(constant(5), constant(6), crop_border=4, ssim3d=False)


def test_option_files_name_the_metrics() -> None:
    metric = METRICS.build("calculate_ssim", {"crop_border": 2, "test_y_channel": False, "ssim3d": False})
    restored, gt = noisy_pair(1, 20, 20)
    assert metric(restored=restored, gt=gt) == calculate_ssim_2d(restored, gt, crop_border=2)
    with pytest.raises(OptionError, match="crop_border: must be at least 0"):
        METRICS.build("calculate_psnr", {"crop_border": -1})
