"""Mode collapse rate: the share of images that restoring made worse by more than the threshold."""

from __future__ import annotations

import numpy as np
import pytest

from basicsr.metrics import calculate_mcr, calculate_psnr
from basicsr.utils.registry import METRICS

GT = np.full((8, 8, 3), 100, np.uint8)


def off_by(levels: int) -> np.ndarray:
    return (GT + levels).astype(np.uint8)


@pytest.mark.parametrize(
    ("levels", "collapsed"),
    [
        (0, 0.0),
        (5, 0.0),
        (10, 0.0),
        (14, 0.0),
        (15, 1.0),
        (80, 1.0),
    ],  # 20 log10(14 / 10) = 2.92, (15 / 10) = 3.52
)
def test_more_than_three_decibels_lost_is_a_collapse(levels: int, collapsed: float) -> None:
    assert calculate_mcr(off_by(levels), GT, lq=off_by(10)) == collapsed


def test_mean_over_images_is_the_rate() -> None:
    rows = [calculate_mcr(off_by(levels), GT, off_by(10)) for levels in (1, 2, 60, 3)]
    assert np.mean(rows) == 0.25


def test_exactly_the_threshold_is_no_collapse() -> None:
    lost = calculate_psnr(off_by(10), GT) - calculate_psnr(off_by(20), GT)
    assert lost == pytest.approx(20 * np.log10(2))
    assert calculate_mcr(off_by(20), GT, off_by(10), threshold=lost) == 0.0
    assert calculate_mcr(off_by(20), GT, off_by(10), threshold=lost - 1e-6) == 1.0


def test_perfect_input() -> None:
    """Its PSNR is infinite: keeping it is fine, any change is a collapse."""
    assert calculate_mcr(GT, GT, GT) == 0.0
    assert calculate_mcr(off_by(1), GT, GT) == 1.0


def test_a_black_result_is_a_collapse() -> None:
    assert calculate_mcr(np.zeros_like(GT), GT, off_by(10)) == 1.0


def test_border_is_left_out() -> None:
    restored = GT.copy()
    restored[0] = 255
    assert calculate_mcr(restored, GT, off_by(10)) == 1.0
    assert calculate_mcr(restored, GT, off_by(10), crop_border=1) == 0.0
    assert calculate_mcr(off_by(60), GT, restored) == 0.0
    assert calculate_mcr(off_by(60), GT, restored, crop_border=1) == 1.0


def test_option_files_name_the_metric() -> None:
    metric = METRICS.build("calculate_mcr", {"threshold": 0.5})
    assert metric(restored=off_by(11), gt=GT, lq=off_by(10)) == 1.0
