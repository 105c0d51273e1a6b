"""PSNR and the SSIM definitions behind published deblurring numbers.

Images are RGB, uint8 in 0..255 or float in 0..1, as NumPy arrays or as tensors on any device. The number
reported for a set is the mean over its images, not the metric of the mean error.

The value range follows the published rule: it is 1 when no value of the *restored* image exceeds 1, else 255.
So a black uint8 result is evaluated with the range 1 (-20.00 dB against a constant 10), where swapping the
images changes the result. Luma always has the range 255.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal, get_args

import cv2
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from basicsr.metrics.base import metric
from basicsr.utils.cores import usable_cores
from basicsr.utils.errors import require_choice
from basicsr.utils.image import Array

Border = Annotated[int, Meta(ge=0)]
ImageLike = Array | Tensor
InputOrder = Literal["HWC", "CHW"]
Plane = NDArray[np.float64]
Mix = NDArray[np.float64] | None

_TYPES = ("uint8", "float32", "float64")
WINDOW = 11
REACH = WINDOW // 2
SIGMA = 1.5
BAND = 96  # rows at once, so that the intermediate planes of a band stay in the cache


@metric("PSNR", better="higher", unit="dB", digits=2, headline=True)
def calculate_psnr(
    restored: ImageLike,
    gt: ImageLike,
    crop_border: Border = 0,
    input_order: InputOrder = "HWC",
    test_y_channel: bool = False,
) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; infinite for equal images.

    Args:
        restored: (H, W, 3) RGB, or (3, H, W) with ``input_order: CHW``.
        gt: same shape and type.
        crop_border: pixels left out at each side.
        test_y_channel: compare luma only, in float32 as published.

    Raises:
        ValueError: if shapes or types differ or are not supported, ``input_order`` is unknown, or nothing is
            left inside the border.
    """
    restored, gt, peak = comparable(restored, gt, crop_border, input_order, test_y_channel)
    difference = np.subtract(restored, gt, dtype=np.float32 if test_y_channel else np.float64)
    mse = np.square(difference, out=difference).mean()
    return math.inf if mse == 0 else float(20 * np.log10(peak / np.sqrt(mse)))


@metric("PSNR", better="higher", unit="dB", digits=2, input_of="calculate_psnr")
def calculate_input_psnr(
    lq: ImageLike,
    gt: ImageLike,
    crop_border: Border = 0,
    input_order: InputOrder = "HWC",
    test_y_channel: bool = False,
) -> float:
    """`calculate_psnr` of the degraded input: the score of a network that changes nothing."""
    return calculate_psnr(lq, gt, crop_border, input_order, test_y_channel)


@metric("SSIM", better="higher")
def calculate_ssim(
    restored: ImageLike,
    gt: ImageLike,
    crop_border: Border = 0,
    input_order: InputOrder = "HWC",
    test_y_channel: bool = False,
    ssim3d: bool = True,
) -> float:
    """Structural similarity as published with NAFNet and SAM-Deblur (MATLAB ``ssim`` of an H x W x 3 array).

    The image is one volume, smoothed by an 11x11x11 Gaussian (sigma 1.5) with replicated borders on all three
    axes; the mean is over all pixels and channels. For natural images it is higher than `calculate_ssim_2d`
    by .02 and more: never mix both in one column.

    Args:
        restored, gt, crop_border: as for `calculate_psnr`; images smaller than the window are fine.
        test_y_channel: luma, smoothed in two dimensions with replicated borders, regardless of ``ssim3d``.
        ssim3d: false is `calculate_ssim_2d`.

    Raises:
        ValueError: as `calculate_psnr`.
    """
    if not (ssim3d or test_y_channel):
        return calculate_ssim_2d(restored, gt, crop_border, input_order)
    restored, gt, peak = comparable(restored, gt, crop_border, input_order, test_y_channel)
    return mean_ssim(restored, gt, peak, None if test_y_channel else _channel_mix(), margin=0)


@metric("SSIM", better="higher", input_of="calculate_ssim")
def calculate_input_ssim(
    lq: ImageLike,
    gt: ImageLike,
    crop_border: Border = 0,
    input_order: InputOrder = "HWC",
    test_y_channel: bool = False,
    ssim3d: bool = True,
) -> float:
    """`calculate_ssim` of the degraded input: the score of a network that changes nothing."""
    return calculate_ssim(lq, gt, crop_border, input_order, test_y_channel, ssim3d)


@metric("SSIM", better="higher")
def calculate_ssim_2d(
    restored: ImageLike,
    gt: ImageLike,
    crop_border: Border = 0,
    input_order: InputOrder = "HWC",
    test_y_channel: bool = False,
) -> float:
    """Structural similarity as in BasicSR: each channel separately, 11x11 windows inside the image.

    Equals scikit-image's ``structural_similarity`` with ``gaussian_weights=True``, ``sigma=1.5`` and
    ``use_sample_covariance=False``. Arguments are those of `calculate_psnr`.

    Raises:
        ValueError: as `calculate_psnr`, or if a side is shorter than the window.
    """
    restored, gt, peak = comparable(restored, gt, crop_border, input_order, test_y_channel)
    height, width = restored.shape[:2]
    if min(height, width) < WINDOW:
        needed = f"at least {WINDOW}x{WINDOW} pixels inside the border"
        raise ValueError(f"2-D SSIM needs {needed}, got {height}x{width}")
    return mean_ssim(restored, gt, peak, None, margin=REACH)


def comparable(
    restored: ImageLike, gt: ImageLike, crop_border: int, input_order: InputOrder, luma: bool
) -> tuple[Array, Array, float]:
    """Both images as (H, W, 3), or (H, W) float32 luma, without the border, and the value range.

    Raises:
        ValueError: as `calculate_psnr`.
    """
    require_choice("input_order", input_order, get_args(InputOrder))
    restored, gt = _as_array(restored), _as_array(gt)
    if restored.shape != gt.shape:
        raise ValueError(f"the images differ in shape: restored {restored.shape}, gt {gt.shape}")
    if restored.dtype != gt.dtype:
        raise ValueError(f"the images differ in type: restored {restored.dtype}, gt {gt.dtype}")
    if input_order == "CHW" and restored.ndim == 3:
        restored, gt = np.moveaxis(restored, 0, -1), np.moveaxis(gt, 0, -1)
    if restored.ndim != 3 or restored.shape[2] != 3:
        raise ValueError(f"images must be (H, W, 3) once read as {input_order}, got {restored.shape}")
    height, width = restored.shape[:2]
    if not 0 <= 2 * crop_border < min(height, width):
        raise ValueError(f"crop_border {crop_border} leaves nothing of an image of {height}x{width}")
    inside = (slice(crop_border, height - crop_border), slice(crop_border, width - crop_border))
    restored, gt = restored[inside], gt[inside]
    peak = 1.0 if restored.max() <= 1 else 255.0
    if luma:
        white = 255.0 if restored.dtype == np.uint8 else peak
        return _luma(restored, white), _luma(gt, white), 255.0
    return restored, gt, peak


def _as_array(image: ImageLike) -> Array:
    if not isinstance(image, (np.ndarray, Tensor)):
        raise ValueError(f"images must be NumPy arrays or tensors, got {type(image).__name__}")
    dtype = str(image.dtype).removeprefix("torch.")
    if dtype not in _TYPES:
        raise ValueError(f"images must be uint8 (0..255), float32 or float64 (0..1), got {dtype}")
    return image.detach().cpu().numpy() if isinstance(image, Tensor) else image


def _luma(image: Array, white: float) -> NDArray[np.float32]:
    """(H, W, 3) RGB in 0..white -> (H, W) in 16..235, not rounded (ITU-R BT.601)."""
    weights = np.array([65.481, 128.553, 24.966]) / white
    return (image.astype(np.float64) @ weights + 16).astype(np.float32)


def _channel_mix() -> NDArray[np.float64]:
    """(3, 3): the Gaussian along the color axis, with replicated ends R and B."""
    weights = cv2.getGaussianKernel(WINDOW, SIGMA).ravel()
    neighbors = np.arange(-REACH, REACH + 1)
    return np.stack([np.bincount(np.clip(channel + neighbors, 0, 2), weights, 3) for channel in range(3)])


def mean_ssim(restored: Array, gt: Array, peak: float, mix: Mix, margin: int) -> float:
    """Mean of the SSIM map, leaving out ``margin`` pixels at each side."""
    total = sum(float(ssim.sum()) for _, ssim in ssim_bands(restored, gt, peak, mix, margin))
    height, width = restored.shape[:2]
    return total / restored[margin : height - margin, margin : width - margin].size


def ssim_bands(
    restored: Array, gt: Array, peak: float, mix: Mix, margin: int
) -> Iterator[tuple[slice, Plane]]:
    """The SSIM map without ``margin`` pixels at each side, in bands: which rows, and their map.

    Args:
        restored, gt: (H, W) or (H, W, C).
        peak: value range.
        mix: (C, C), smooths over the channels; None keeps the channels separate.
    """
    height, width = restored.shape[:2]

    def band(top: int) -> tuple[slice, Plane]:
        bottom = min(top + BAND, height - margin)
        start = max(top - REACH, 0)
        rows = slice(start, bottom + REACH)
        ssim = _ssim_map(restored[rows].astype(np.float64), gt[rows].astype(np.float64), peak, mix)
        return slice(top, bottom), ssim[top - start : bottom - start, margin : width - margin]

    tops, cores = range(margin, height - margin, BAND), usable_cores()
    # OpenCV filters a band in one thread. A few bands at a time, as maps of all take more than the images.
    with ThreadPoolExecutor(cores) as pool:
        for first in range(0, len(tops), 2 * cores):
            yield from pool.map(band, tops[first : first + 2 * cores])


def _ssim_map(x: Plane, y: Plane, peak: float, mix: Mix) -> Plane:
    """SSIM of each pixel and channel (Wang et al., 2004). Only the sum of the variances is needed.

    Works in place, also on ``x`` and ``y``, which saves a tenth of the time.
    """
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_x, mean_y = _smooth(x, mix), _smooth(y, mix)
    covariance = _smooth(x * y, mix)
    variances = _smooth(_sum_of_squares(x, y), mix)
    product = mean_x * mean_y
    squares = _sum_of_squares(mean_x, mean_y)
    covariance -= product
    variances -= squares
    # (2 product + c1) (2 covariance + c2) / ((squares + c1) (variances + c2))
    product *= 2
    product += c1
    covariance *= 2
    covariance += c2
    squares += c1
    variances += c2
    product *= covariance
    squares *= variances
    product /= squares
    return product


def _sum_of_squares(x: Plane, y: Plane) -> Plane:
    """x * x + y * y in the place of ``x``; ``y`` is lost, too."""
    x *= x
    y *= y
    x += y
    return x


def _smooth(x: Plane, mix: Mix) -> Plane:
    """Gaussian over rows and columns with replicated borders, then over channels if ``mix`` is given."""
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA)
    smooth = cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth if mix is None else cv2.transform(smooth, mix), np.float64)
