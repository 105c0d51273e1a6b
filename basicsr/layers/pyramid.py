"""Gaussian pyramids, as `skimage.transform.pyramid_gaussian` makes them with its defaults."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Smoothing by a Gaussian with sigma 2 * 2 / 6, cut off at 4 sigma, then the mean of each two neighbors
# (linear interpolation at their midpoint): one filter of eight taps with stride 2.
_RADIUS = 3
_GAUSSIAN = [math.exp(-0.5 * (step / (2 / 3)) ** 2) for step in range(-_RADIUS, _RADIUS + 1)]
_TAPS = [
    (left + right) / 2 / sum(_GAUSSIAN)
    for left, right in zip([*_GAUSSIAN, 0.0], [0.0, *_GAUSSIAN], strict=True)
]


def gaussian_pyramid(image: Tensor, scales: int) -> list[Tensor]:
    """The image at several scales, each half as large as the one before.

    Args:
        image: (B, C, H, W); H and W are multiples of 2^(scales - 1).
        scales: number of scales.

    Returns:
        (B, C, H / 2^k, W / 2^k) each, finest first; the first is ``image``.
    """
    levels = [image]
    for _ in range(scales - 1):
        narrow = _halved(levels[-1])
        levels.append(_halved(narrow.transpose(-2, -1)).transpose(-2, -1))
    return levels


def _halved(image: Tensor) -> Tensor:
    """(.., W) -> (.., W / 2)."""
    width = image.shape[-1]
    # mirrored with the outermost pixels repeated, as often as needed
    steps = torch.arange(-_RADIUS, width + _RADIUS, device=image.device).remainder(2 * width)
    mirrored = image.index_select(-1, torch.minimum(steps, 2 * width - 1 - steps))
    halved = _TAPS[0] * mirrored[..., 0 : width - 1 : 2]
    for place, tap in enumerate(_TAPS[1:], 1):
        halved = halved + tap * mirrored[..., place : place + width - 1 : 2]
    return halved
