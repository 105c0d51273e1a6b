"""PSNR and SSIM of luma as computed by MATLAB: the figures of deraining papers.

Luma is the first plane of ``rgb2ycbcr``, in 16..235 for values of 0..255, and the value range of both
metrics is 255. For 8-bit images ``rgb2ycbcr`` returns whole numbers, which the published evaluation of MPRNet
compares; those of PReNet and RCDNet convert to double first, so nothing is rounded: ``rounded: false``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from basicsr.metrics.base import metric
from basicsr.metrics.psnr_ssim import WINDOW, Border, ImageLike, comparable, mean_ssim
from basicsr.utils.image import Array

# For red, green and blue, in 1/255000 for values of 0..255: rgb2ycbcr in whole numbers.
_WEIGHTS = (65481, 128553, 24966)
_SCALE = 255000


@metric("PSNR-Y", better="higher", unit="dB", digits=2, headline=True)
def calculate_psnr_y(
    restored: ImageLike, gt: ImageLike, crop_border: Border = 0, rounded: bool = True
) -> float:
    """Peak signal-to-noise ratio of luma in dB, 20 log10(255 / rmse); infinite for equal luma.

    Args:
        restored: (H, W, 3) RGB, uint8 in 0..255 or float in 0..1.
        gt: same shape and type.
        crop_border: pixels left out at each side.
        rounded: compare luma rounded to whole numbers, if the images are uint8.

    Raises:
        ValueError: if shapes or types differ or are not supported, or nothing is left inside the border.
    """
    ours, theirs = _luma_pair(restored, gt, crop_border, rounded)
    mse = np.square(ours - theirs).mean()
    return math.inf if mse == 0 else float(20 * np.log10(255 / np.sqrt(mse)))


@metric("PSNR-Y", better="higher", unit="dB", digits=2, input_of="calculate_psnr_y")
def calculate_input_psnr_y(
    lq: ImageLike, gt: ImageLike, crop_border: Border = 0, rounded: bool = True
) -> float:
    """`calculate_psnr_y` of the degraded input: the score of a network that changes nothing."""
    return calculate_psnr_y(lq, gt, crop_border, rounded)


@metric("SSIM-Y", better="higher")
def calculate_ssim_y(
    restored: ImageLike, gt: ImageLike, crop_border: Border = 0, rounded: bool = True
) -> float:
    """Structural similarity of luma as in the first ``ssim_index.m`` of Wang et al. (2004).

    11x11 Gaussian windows (sigma 1.5) inside the image, K = (0.01, 0.03), no subsampling. Arguments are those
    of `calculate_psnr_y`.

    Raises:
        ValueError: as `calculate_psnr_y`, or if a side is shorter than the window.
    """
    ours, theirs = _luma_pair(restored, gt, crop_border, rounded)
    height, width = ours.shape
    if min(height, width) < WINDOW:
        needed = f"at least {WINDOW}x{WINDOW} pixels inside the border"
        raise ValueError(f"SSIM of luma needs {needed}, got {height}x{width}")
    return mean_ssim(ours, theirs, 255.0, None, margin=WINDOW // 2)


@metric("SSIM-Y", better="higher", input_of="calculate_ssim_y")
def calculate_input_ssim_y(
    lq: ImageLike, gt: ImageLike, crop_border: Border = 0, rounded: bool = True
) -> float:
    """`calculate_ssim_y` of the degraded input: the score of a network that changes nothing."""
    return calculate_ssim_y(lq, gt, crop_border, rounded)


def rgb_to_luma(image: Array, rounded: bool = True) -> NDArray[np.float64]:
    """(H, W, 3) RGB, uint8 in 0..255 or float in 0..1 -> (H, W) in 16..235.

    Args:
        rounded: round to whole numbers, halves upwards, if the image is uint8.
    """
    if image.dtype != np.uint8:
        luma: NDArray[np.float64] = image.astype(np.float64) @ np.array(_WEIGHTS) / 1000 + 16
        return luma
    weighted = image.astype(np.int32) @ np.array(_WEIGHTS, np.int32)
    if rounded:
        return ((weighted + _SCALE // 2) // _SCALE + 16).astype(np.float64)
    return weighted / _SCALE + 16


def _luma_pair(
    restored: ImageLike, gt: ImageLike, crop_border: int, rounded: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ours, theirs, _ = comparable(restored, gt, crop_border, "HWC", False)
    return rgb_to_luma(ours, rounded), rgb_to_luma(theirs, rounded)
