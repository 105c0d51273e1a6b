"""Rain on a photo: layers of bright streaks added to it.

The additive model O = B + R of deraining, e.g. Yang et al., "Deep Joint Rain Detection and Removal from a
Single Image" (CVPR 2017): R is the sum of layers, and a layer consists of drops at random positions, each
stretched to an oriented Gaussian line. There is no mist, no depth, and no drop on the lens.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from basicsr.synthesis.presets import Range

Layer = NDArray[np.float32]

_FWHM = 2 * math.sqrt(2 * math.log(2))  # full width at half maximum of a Gaussian, in standard deviations
_LEAST = (
    ("layers", 0, False),
    ("density", 0, False),
    ("length", 0, True),
    ("width", 0, True),
    ("angle", -math.inf, False),
    ("strength", 0, False),
)
_REACH = 3  # standard deviations from the middle of a streak to the edge of its kernel


class RainRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How rain is made. Each layer draws its own value from a range (low, high), uniformly.

    Args:
        layers: smallest and largest number of layers. All streaks of a layer are parallel and of the same
            size.
        density: streaks per layer and 1000 pixels of the photo.
        length, width: of a streak in pixels, at half its peak brightness.
        angle: degrees from the vertical; positive falls to the right.
        strength: brightness of the middle of a streak, 1 is white; each streak draws its own.

    Raises:
        ValueError: if a range is not increasing, or out of bounds.
    """

    layers: tuple[int, int] = (1, 1)
    density: Range = (0.5, 2.0)
    length: Range = (8.0, 25.0)
    width: Range = (1.0, 2.0)
    angle: Range = (-20.0, 20.0)
    strength: Range = (0.2, 0.6)

    def __post_init__(self) -> None:
        for name, least, strictly in _LEAST:
            low, high = getattr(self, name)
            if not (low > least if strictly else low >= least) or not low <= high:
                wanted = f"two increasing numbers, {'above' if strictly else 'from'} {least:g}"
                raise ValueError(f"{name}: expected {wanted} (got {low:g}, {high:g})")


RainName = Literal["light", "heavy"]

RAIN: dict[RainName, RainRules] = {
    "light": RainRules(),
    "heavy": RainRules(
        layers=(2, 5),
        density=(1.0, 3.0),
        length=(10.0, 40.0),
        width=(1.0, 3.0),
        angle=(-45.0, 45.0),
        strength=(0.3, 0.7),
    ),
}


def streak(length: float, width: float, angle: float) -> Layer:
    """One streak in the middle of a black square: a Gaussian along the line and one across it.

    Args:
        length, width: full widths at half maximum, in pixels.
        angle: degrees from the vertical, see `RainRules`.

    Returns:
        (k, k) with odd k; 1 in the middle.
    """
    along, across = length / _FWHM, width / _FWHM
    radius = math.ceil(_REACH * max(along, across))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    turn = math.radians(angle)
    down = x * math.sin(turn) + y * math.cos(turn)
    aside = x * math.cos(turn) - y * math.sin(turn)
    kernel: Layer = np.exp(-0.5 * ((down / along) ** 2 + (aside / across) ** 2)).astype(np.float32)
    return kernel


def rain_layer(height: int, width: int, rules: RainRules, generator: np.random.Generator) -> Layer:
    """The sum of all layers of a photo: (height, width), 0 without rain; it may exceed 1."""
    total: Layer = np.zeros((height, width), np.float32)
    for _ in range(int(generator.integers(*rules.layers, endpoint=True))):
        density, length, thickness, angle = (
            float(generator.uniform(*limits))
            for limits in (rules.density, rules.length, rules.width, rules.angle)
        )
        kernel = streak(length, thickness, angle)
        margin = len(kernel) // 2  # streaks whose middle is outside the photo reach into it
        wide = (height + 2 * margin, width + 2 * margin)
        count = int(generator.poisson(density * wide[0] * wide[1] / 1000))
        drops = np.zeros(wide, np.float32)
        rows, columns = (generator.integers(length, size=count) for length in wide)
        np.add.at(drops, (rows, columns), generator.uniform(*rules.strength, size=count))
        # the kernel is symmetric under rotation by 180 degrees, so correlation is convolution
        drawn = cv2.filter2D(drops, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        total += drawn[margin : margin + height, margin : margin + width]
    # the Fourier transform used for long kernels leaves values slightly below 0
    return np.maximum(total, 0)
