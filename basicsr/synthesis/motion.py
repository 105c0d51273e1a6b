"""How a point of the image moves during an exposure: paths (N, 2), pixels, x right, y down, even in time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from basicsr.synthesis.kernels import Kernel, centered
from basicsr.utils.errors import UserError

Path = NDArray[np.float64]

POINTS = 1000
# Rms angle in degrees for which the longer side of the path is at most 60 pixels in 95 of 100 exposures of
# 0.05 to 0.5 s, at a focal length of 1000 pixels.
TREMOR = 0.89

_DRIFT = (0.5, 20.0)  # Hz
_BAND = (8.0, 12.0)  # Hz
_BAND_SHARE = 0.1
_MOST_DRAWS = 1000


def camera_shake(
    generator: np.random.Generator,
    exposure: float,
    focal_length: float = 1000.0,
    tremor: float = TREMOR,
    size: int = 65,
) -> Kernel:
    """Kernel of a hand-held camera, see `shake_path`; a path that leaves the kernel is drawn anew.

    Args:
        exposure: in seconds.
        focal_length: in pixels.
        tremor: rms angle in degrees.
        size: of the kernel, odd.

    Raises:
        UserError: hardly any path fits into the kernel.
    """
    return fitting(lambda: shake_path(generator, exposure, focal_length, tremor), size)[0]


def shake_path(generator: np.random.Generator, exposure: float, focal_length: float, tremor: float) -> Path:
    """Yaw and pitch of a hand that holds a camera, as two Gaussian processes.

    Amplitudes go as 1 / frequency from 0.5 to 20 Hz; a tenth of the amplitude comes from the band of
    physiological tremor, 8 to 12 Hz.

    After the description of camera shake in Gavant et al., "A physiological camera shake model for image
    stabilization systems" (2011). Displacement is ``focal_length * tan(angle)``.

    Args:
        exposure: in seconds.
        focal_length: in pixels.
        tremor: rms of each angle over all time, in degrees; within a short exposure it changes less.
    """
    drift, band = np.geomspace(*_DRIFT, 40), np.linspace(*_BAND, 9)
    power = np.gradient(drift) / drift**2  # of the frequencies that each one stands for
    power *= (1 - _BAND_SHARE**2) / power.sum()
    power = np.concatenate([power, np.full(len(band), _BAND_SHARE**2 / len(band))])
    frequencies = np.concatenate([drift, band])
    cosines, sines = generator.normal(size=(2, len(frequencies), 2)) * np.sqrt(power)[:, None]
    phase = 2 * math.pi * exposure * _times()[:, None] * frequencies
    angles = math.radians(tremor) * (np.cos(phase) @ cosines + np.sin(phase) @ sines)
    path: Path = focal_length * np.tan(angles)
    return path


def straight_path(length: float, angle: float) -> Path:
    """Constant speed; ``length`` in pixels, ``angle`` in radians counter-clockwise from the x axis."""
    return length * (_times() - 0.5)[:, None] * np.array([math.cos(angle), -math.sin(angle)])


def random_walk(generator: np.random.Generator, extent: float) -> Path:
    """Brownian motion in the plane; ``extent`` is the longer side of its bounding box in pixels."""
    path = np.cumsum(generator.normal(size=(POINTS, 2)), axis=0)
    return path * (extent / np.ptp(path, axis=0).max())


def fitting(draw: Callable[[], Path], size: int) -> tuple[Kernel, Path]:
    """The first path drawn that fits, centred, into a kernel of ``size``, and its kernel.

    Raises:
        UserError: hardly any does.
    """
    for _ in range(_MOST_DRAWS):
        path = draw()
        kernel = centered(path[:, 0], path[:, 1], size)
        if kernel is not None:
            return kernel, path
    hint = "take a larger kernel, a shorter exposure or less motion"
    raise UserError(f"none of {_MOST_DRAWS} motions fits into a kernel of {size} x {size} pixels; {hint}")


def _times() -> NDArray[np.float64]:
    """Middles of equal parts of the exposure, from 0 to 1."""
    times: NDArray[np.float64] = (np.arange(POINTS) + 0.5) / POINTS
    return times
