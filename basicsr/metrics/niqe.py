"""Natural image quality evaluator: how far an image is from natural ones, without ground truth.

Mittal, Soundararajan and Bovik, "Making a Completely Blind Image Quality Analyzer" (IEEE Signal Processing
Letters, 2013). Blocks of 96x96 luma pixels are described by generalised Gaussians fitted to their locally
normalised values and to the products of neighbours, at two scales; the score is the distance between the mean
and covariance of these features and those of pristine photos. Lower is better.

``niqe_pristine.npz`` holds the parameters that the authors published; ``niqe_pristine_notice.txt`` is their
notice.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.metrics.base import metric
from basicsr.metrics.psnr_ssim import Border, ImageLike, comparable
from basicsr.utils.convert import ExistingFile
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.mat import read_mat
from basicsr.utils.npz import Npz
from basicsr.utils.reading import read_file

Values = NDArray[np.float64]

BLOCK = 96  # pixels at the first scale, half of it at the second
FEATURES = 36
_LARGEST_MAT = 1 << 26  # bytes
SHARP = 0.75  # of the sharpest block of a pristine photo
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns to the neighbour
# MATLAB's imresize by 1/2: the cubic (a = -1/2) stretched to 8 pixels
HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
PUBLISHED = Path(__file__).with_name("niqe_pristine.npz")
HINT = "make some with scripts/fit_niqe.py"


class Pristine(NamedTuple):
    """Mean (36,) and covariance (36, 36) of the features of pristine photos."""

    mean: Values
    covariance: Values


@metric("NIQE", better="lower")
class NIQE:
    """NIQE of the restored image's luma (BT.601, 16..235, rounded).

    Figures compare with published ones only with the published parameters, never between two fits.

    Args:
        parameters: null takes the published ones. Else `.npz` from ``scripts/fit_niqe.py`` (keys
            ``mu_pris_param``, ``cov_pris_param``), or `.mat` with the names of the published
            ``modelparameters.mat`` (``mu_prisparam``, ``cov_prisparam``).
        crop_border: pixels left out at each side.

    Raises:
        UserError: ``parameters`` is not such a file.
    """

    def __init__(self, parameters: ExistingFile | None = None, crop_border: Border = 0) -> None:
        self.pristine = read_pristine(PUBLISHED if parameters is None else Path(parameters))
        self.crop_border = crop_border

    def __call__(self, restored: ImageLike) -> float:
        """Score of (H, W, 3) RGB, uint8 in 0..255 or float in 0..1.

        Raises:
            ValueError: another type or shape, or fewer than two blocks of 96x96 pixels with any texture.
        """
        features, _ = niqe_features(niqe_luma(restored, self.crop_border))
        own = _statistics(features)
        difference = self.pristine.mean - own.mean
        pooled = np.linalg.pinv((self.pristine.covariance + own.covariance) / 2)
        return math.sqrt(max(0.0, float(difference @ pooled @ difference)))


def niqe_luma(image: ImageLike, crop_border: int = 0) -> Values:
    """(H, W, 3) RGB -> (H, W) luma in 16..235, rounded to whole numbers as published."""
    luma, _, _ = comparable(image, image, crop_border, "HWC", True)
    return np.round(luma).astype(np.float64)


def niqe_features(luma: Values) -> tuple[Values, Values]:
    """The blocks of an image, row by row: features (B, 36), NaN for what a block cannot tell, and sharpness.

    Args:
        luma: (H, W) in 0..255; what is left beside whole blocks is cut off.

    Returns:
        Features, and the mean local standard deviation (B,) of each block.

    Raises:
        ValueError: not one block.
    """
    rows, columns = (length // BLOCK for length in luma.shape)
    if rows * columns == 0:
        raise ValueError(f"NIQE needs at least {BLOCK}x{BLOCK} pixels, got {luma.shape[0]}x{luma.shape[1]}")
    luma = luma[: rows * BLOCK, : columns * BLOCK]
    normalized, deviation = _normalize(luma)
    half, _ = _normalize(_halve(luma))
    features = [_describe(_blocks(plane, rows, columns)) for plane in (normalized, half)]
    return np.concatenate(features, axis=1), _blocks(deviation, rows, columns).mean((1, 2))


def fit_pristine(described: Iterable[tuple[Values, Values]]) -> Pristine:
    """Parameters from `niqe_features` of pristine photos: only the sharp blocks of each photo count.

    Raises:
        ValueError: fewer than two such blocks.
    """
    sharp = [features[sharpness > SHARP * sharpness.max()] for features, sharpness in described]
    return _statistics(np.concatenate([np.empty((0, FEATURES)), *sharp]))


def write_pristine(path: Path, pristine: Pristine) -> None:
    """Write the parameters as `.npz`."""
    buffer = io.BytesIO()
    np.savez(buffer, mu_pris_param=pristine.mean[None], cov_pris_param=pristine.covariance)
    write_bytes(path, buffer.getvalue())


def read_pristine(path: Path) -> Pristine:
    """Read the parameters from `.npz`, or `.mat` as published.

    Raises:
        UserError: damaged, or without such parameters.
    """
    try:
        if path.suffix.lower() == ".mat":
            matlab = read_mat(read_file(path, _LARGEST_MAT), _LARGEST_MAT)
            mean, covariance = matlab["mu_prisparam"], matlab["cov_prisparam"]
        else:
            archive = Npz(path)
            mean, covariance = (archive.read(key, FEATURES**2) for key in ("mu_pris_param", "cov_pris_param"))
        mean, covariance = np.asarray(mean, np.float64).ravel(), np.asarray(covariance, np.float64)
    except UserError:
        raise
    except Exception as error:  # both readers let any error of a damaged file through
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: no NIQE parameters ({reason}); {HINT}") from error
    if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
        found = f"shapes {mean.shape} and {covariance.shape}, not ({FEATURES},) and ({FEATURES}, {FEATURES})"
        raise UserError(f"{path}: NIQE parameters have the {found}; {HINT}")
    return Pristine(mean, covariance)


def _statistics(features: Values) -> Pristine:
    complete = features[~np.isnan(features).any(axis=1)]
    if len(complete) < 2:
        found = f"{len(complete)} of {len(features)} blocks of {BLOCK}x{BLOCK} pixels can be described"
        raise ValueError(f"NIQE: {found}; it needs at least 2")
    return Pristine(np.nanmean(features, axis=0), np.cov(complete, rowvar=False))


def _normalize(luma: Values) -> tuple[Values, Values]:
    """Mean-subtracted contrast-normalised values, and the local standard deviation."""
    kernel = cv2.getGaussianKernel(7, 7 / 6)

    def smooth(plane: Values) -> Values:
        smoothed = cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(smoothed, np.float64)

    mean = smooth(luma)
    deviation = np.sqrt(np.abs(smooth(luma * luma) - mean * mean))
    return (luma - mean) / (deviation + 1), deviation


def _halve(luma: Values) -> Values:
    smoothed = cv2.sepFilter2D(
        luma, cv2.CV_64F, HALVING, HALVING, anchor=(3, 3), borderType=cv2.BORDER_REFLECT
    )
    return np.asarray(smoothed[::2, ::2], np.float64)


def _blocks(plane: Values, rows: int, columns: int) -> Values:
    """(H, W) -> (rows * columns, H / rows, W / columns)."""
    split = plane.reshape(rows, plane.shape[0] // rows, columns, plane.shape[1] // columns)
    return split.transpose(0, 2, 1, 3).reshape(rows * columns, *split.shape[1::2])


def _describe(blocks: Values) -> Values:
    """Normalised values (B, h, w) -> the 18 features of one scale, (B, 18)."""
    alpha, left, right = _fit(blocks)
    features = [alpha, (left + right) / 2]
    for shift in SHIFTS:
        alpha, left, right = _fit(blocks * np.roll(blocks, shift, axis=(1, 2)))
        features += [alpha, (right - left) * _gamma(2 / alpha) / _gamma(1 / alpha), left, right]
    return np.stack(features, axis=1)


def _fit(blocks: Values) -> tuple[Values, Values, Values]:
    """Asymmetric generalised Gaussian by moments: its shape and its left and right scale, each (B,).

    Lasmar, Stitou and Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis" (ICIP 2009).
    """
    x = blocks.reshape(len(blocks), -1)
    square = x * x
    with np.errstate(invalid="ignore", divide="ignore"):  # a flat block has no moments and becomes NaN
        left, right = (np.sqrt((square * side).sum(1) / side.sum(1)) for side in (x < 0, x > 0))
        ratio = left / right
        wanted = np.abs(x).mean(1) ** 2 / square.mean(1)
        wanted = wanted * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios = _shape_table()
    nearest = np.searchsorted((ratios[1:] + ratios[:-1]) / 2, wanted)
    alpha = np.where(np.isfinite(wanted), shapes[nearest], np.nan)
    scale = np.sqrt(_gamma(1 / alpha) / _gamma(3 / alpha))
    return alpha, left * scale, right * scale


@functools.cache
def _shape_table() -> tuple[Values, Values]:
    """Shapes of generalised Gaussians, and for each E[|x|]^2 / E[x^2], which rises with it."""
    shapes = np.arange(200, 10001) / 1000
    return shapes, _gamma(2 / shapes) ** 2 / (_gamma(1 / shapes) * _gamma(3 / shapes))


def _gamma(x: Values) -> Values:
    return np.array([math.gamma(value) for value in x])
