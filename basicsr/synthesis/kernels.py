"""Point spread functions: float64 (size, size), non-negative, sum 1, centred on the middle pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Kernel = NDArray[np.float64]

_POINTS_PER_PIXEL = 16


def linear_motion(length: float, angle: float) -> Kernel:
    """Motion at constant speed along a straight line during the exposure.

    Args:
        length: of the line in pixels; 0 is no motion.
        angle: in radians, counter-clockwise from the x axis.

    Returns:
        The smallest odd size that holds the line.
    """
    size = 2 * math.ceil(length / 2) + 1
    points = max(1, math.ceil(length * _POINTS_PER_PIXEL))
    along = ((np.arange(points) + 0.5) / points - 0.5) * length
    return splat(along * math.cos(angle), -along * math.sin(angle), size)


def centered(
    x: NDArray[np.float64], y: NDArray[np.float64], size: int, weights: NDArray[np.float64] | float = 1.0
) -> Kernel | None:
    """`splat` of the points after a shift, by parts of a pixel too, that brings their centroid to the middle.

    Returns:
        None when a point then lies outside of the kernel.
    """
    x, y = (values - np.average(values, weights=np.broadcast_to(weights, values.shape)) for values in (x, y))
    fits = max(np.abs(x).max(), np.abs(y).max()) <= size // 2
    return splat(x, y, size, weights) if fits else None


def splat(
    x: NDArray[np.float64], y: NDArray[np.float64], size: int, weights: NDArray[np.float64] | float = 1.0
) -> Kernel:
    """Points (pixels from the centre, y down) -> kernel, shared by four pixels each: the centroid is theirs.

    Args:
        size: odd.
        weights: of the points; a number is the same for all.
    """
    center = size // 2
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    kernel = np.zeros((size + 1, size + 1))  # the last row and column only ever receive shares of 0
    for down in (0, 1):
        for right in (0, 1):
            share = (1 - np.abs(x - left - right)) * (1 - np.abs(y - top - down)) * weights
            np.add.at(kernel, (top + down + center, left + right + center), share)
    kernel = kernel[:size, :size]
    return kernel / kernel.sum()
