"""PSNR and SSIM after registration, for photos whose ground truth was taken from a slightly different place.

The protocol with which MPRNet, Restormer and SBDD report RealBlur, and SBDD the set of Köhler et al.: match
the brightness by one factor, find the homography that maximizes the enhanced correlation coefficient (ECC;
Evangelidis and Psarakis, 2008), warp, and compare the pixels that came from inside the image. These figures
are higher than those of `calculate_psnr` and `calculate_ssim`: never mix them in one column.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.metrics.base import metric
from basicsr.metrics.psnr_ssim import REACH, WINDOW, ImageLike, comparable, ssim_bands
from basicsr.utils.image import Array

Image = NDArray[np.float32]
Homography = NDArray[np.float32]

ITERATIONS = 100
ROUND = 5  # iterations between two checks of the corners
STILL = 1e-3  # pixels that a corner may move in a round once the search has converged
GAUSSIAN = 5  # pixels, side of the filter that ECC smooths with


class Aligned(NamedTuple):
    """``restored`` with the position and brightness of ``gt``, both float32 (H, W, 3), 0 where not ``valid``.

    ``valid`` is boolean (H, W): the pixel came from inside the restored image.
    """

    restored: Image
    gt: Image
    valid: NDArray[np.bool_]


class AlignedScores(NamedTuple):
    """PSNR in dB and SSIM over the pixels that could be compared."""

    psnr: float
    ssim: float


@metric("PSNR", better="higher", unit="dB", digits=2)
def calculate_psnr_aligned(restored: ImageLike, gt: ImageLike) -> float:
    """PSNR in dB after alignment.

    Args:
        restored: (H, W, 3) RGB, uint8 in 0..255 or float in 0..1.
        gt: same shape and type.

    Raises:
        ValueError: if shapes or types differ or are not supported.
    """
    return masked_psnr(align(restored, gt))


@metric("SSIM", better="higher")
def calculate_ssim_aligned(restored: ImageLike, gt: ImageLike) -> float:
    """SSIM after alignment: 11x11 windows inside the image, each channel separately.

    Args:
        restored, gt: as for `calculate_psnr_aligned`.

    Raises:
        ValueError: as `calculate_psnr_aligned`, or if a side is shorter than the window.
    """
    return masked_ssim(align(restored, gt))


@metric("PSNR", better="higher", unit="dB", digits=2, input_of="calculate_psnr_aligned")
def calculate_input_psnr_aligned(lq: ImageLike, gt: ImageLike) -> float:
    """`calculate_psnr_aligned` of the degraded input."""
    return calculate_psnr_aligned(lq, gt)


@metric("SSIM", better="higher", input_of="calculate_ssim_aligned")
def calculate_input_ssim_aligned(lq: ImageLike, gt: ImageLike) -> float:
    """`calculate_ssim_aligned` of the degraded input."""
    return calculate_ssim_aligned(lq, gt)


def aligned_scores(restored: ImageLike, gt: ImageLike) -> AlignedScores:
    """`calculate_psnr_aligned` and `calculate_ssim_aligned` with one alignment, which is most of the work."""
    aligned = align(restored, gt)
    return AlignedScores(masked_psnr(aligned), masked_ssim(aligned))


def align(restored: ImageLike, gt: ImageLike) -> Aligned:
    """Match ``restored`` to the brightness and position of ``gt``.

    The identity is used if ECC finds no homography, or one that leaves no pixel.

    Args:
        restored, gt: as for `calculate_psnr_aligned`.

    Raises:
        ValueError: as `calculate_psnr_aligned`.
    """
    restored, gt, _ = comparable(restored, gt, 0, "HWC", False)
    target = _unit(gt)
    source = _match_brightness(_unit(restored), target)
    warp = find_homography(source, target)
    valid = _warped(np.ones(target.shape[:2], np.uint8), warp, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) > 0
    if not valid.any():
        warp, valid = np.eye(3, dtype=np.float32), np.ones_like(valid)
    moved = _warped(source, warp, cv2.INTER_CUBIC, cv2.BORDER_REFLECT)
    inside = valid[..., None]
    return Aligned(moved * inside, target * inside, valid)


def find_homography(source: Image, target: Image) -> Homography:
    """The homography from positions in ``target`` to those in ``source``, (3, 3); the identity if ECC fails.

    100 iterations, as published, unless no corner moves by more than 0.001 pixels any more. The search
    continues from the homography alone, so pausing to check changes nothing.

    Args:
        source, target: float32 (H, W, 3) RGB, of the same size.
    """
    height, width = target.shape[:2]
    corners = np.array([[[0, 0], [width, 0], [0, height], [width, height]]], np.float32)
    template, image = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in (target, source))
    everywhere = np.ones((height, width), np.uint8)
    criteria = (cv2.TERM_CRITERIA_COUNT, ROUND, 0.0)
    warp: Any = np.eye(3, dtype=np.float32)
    place: Array = corners
    for _ in range(ITERATIONS // ROUND):
        try:
            _, warp = cv2.findTransformECC(
                template, image, warp, cv2.MOTION_HOMOGRAPHY, criteria, everywhere, GAUSSIAN
            )
        except cv2.error:
            return np.eye(3, dtype=np.float32)
        before, place = place, cv2.perspectiveTransform(corners, warp)
        if np.abs(place - before).max() < STILL:
            break
    return np.asarray(warp, np.float32)


def masked_psnr(aligned: Aligned) -> float:
    """PSNR in dB over the valid pixels, value range 1; infinite where they are equal."""
    difference = np.subtract(aligned.restored, aligned.gt, dtype=np.float64)
    mse = np.square(difference, out=difference).sum() / (3 * int(np.count_nonzero(aligned.valid)))
    return math.inf if mse == 0 else float(-10 * np.log10(mse))


def masked_ssim(aligned: Aligned) -> float:
    """SSIM over the valid pixels whose window lies inside the image, value range 1.

    Invalid pixels are 0 in both images and do enter the windows of their neighbors, as published. Not a
    number if no pixel is left.

    Raises:
        ValueError: if a side is shorter than the window.
    """
    height, width = aligned.valid.shape
    if min(height, width) < WINDOW:
        raise ValueError(f"aligned SSIM needs at least {WINDOW}x{WINDOW} pixels, got {height}x{width}")
    columns = slice(REACH, width - REACH)
    total, count = 0.0, 0
    for rows, ssim in ssim_bands(aligned.gt, aligned.restored, 1.0, None, REACH):
        valid = aligned.valid[rows, columns]
        total += float((ssim * valid[..., None]).sum())
        count += 3 * int(np.count_nonzero(valid))
    return total / count if count else math.nan


def _unit(image: Array) -> Image:
    return np.divide(image, 255.0 if image.dtype == np.uint8 else 1.0, dtype=np.float32)


def _match_brightness(source: Image, target: Image) -> Image:
    """``source`` times the factor that brings it nearest to ``target``; a black image stays black."""
    x, z = (image.astype(np.float64).ravel() for image in (target, source))
    power = z @ z
    return source * np.float32(x @ z / power) if power > 0 else source


def _warped(image: Array, warp: Homography, interpolation: int, border: int) -> Array:
    # OpenCV 5 misplaces border pixels of float64 images
    assert image.dtype != np.float64
    flags = interpolation | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(image, warp, image.shape[1::-1], flags=flags, borderMode=border)
