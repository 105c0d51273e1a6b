"""Crop, flip and transpose all fields of a sample at once: every array ends in (H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def random_crop(arrays: Arrays, size: int, generator: np.random.Generator) -> Arrays:
    """The same ``size`` x ``size`` window of every field; smaller images are first extended by reflection."""
    arrays = {name: _reflect_to(array, size) for name, array in arrays.items()}
    height, width = next(iter(arrays.values())).shape[-2:]
    top = int(generator.integers(height - size + 1))
    left = int(generator.integers(width - size + 1))
    return {name: array[..., top : top + size, left : left + size] for name, array in arrays.items()}


def random_flip_rotate(arrays: Arrays, flip: bool, rotate: bool, generator: np.random.Generator) -> Arrays:
    """One of the symmetries of the square, the same for every field.

    Args:
        flip: left-right, with probability 1/2.
        rotate: top-bottom and transposition, each with probability 1/2.
    """
    if flip and generator.random() < 0.5:
        arrays = {name: array[..., ::-1] for name, array in arrays.items()}
    if rotate and generator.random() < 0.5:
        arrays = {name: array[..., ::-1, :] for name, array in arrays.items()}
    if rotate and generator.random() < 0.5:
        arrays = {name: array.swapaxes(-2, -1) for name, array in arrays.items()}
    return arrays


def _reflect_to(array: NDArray[Any], size: int) -> NDArray[Any]:
    bottom, right = (max(0, size - length) for length in array.shape[-2:])
    if bottom == right == 0:
        return array
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, bottom), (0, right)], mode="reflect")
