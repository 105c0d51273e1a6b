"""Transforms that change what images show, all images and frames of a sample in the same way.

HyperCUT trains with these; the sizes of the changes are its own, where it says them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import cv2
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from basicsr.data.transforms import Arrays, Transform
from basicsr.utils.convert import Share
from basicsr.utils.registry import TRANSFORMS

AtLeast0 = Annotated[float, Meta(ge=0)]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]


@TRANSFORMS.register
class RandomAffine(Transform):
    """Shift, rotation and shear about the middle; what comes into view is reflected. Labels stay whole.

    Args:
        share: of the samples that are changed.
        translate: most shift along each side, as a share of it.
        rotate: most rotation, in degrees.
        shear: most shear along each side, in degrees.
    """

    def __init__(
        self, share: Share = 0.6, translate: Share = 0.05, rotate: AtLeast0 = 5.0, shear: AtLeast0 = 7.0
    ) -> None:
        self.share = share
        self.most = (translate, translate, rotate, shear, shear)

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        draws = generator.uniform(-1, 1, len(self.most)) * self.most
        if generator.random() >= self.share:
            return arrays
        height, width = next(iter(arrays.values())).shape[-2:]
        matrix = _about_the_middle(draws, height, width)
        return {name: _warp(array, matrix) for name, array in arrays.items()}


@TRANSFORMS.register
class ColorJitter(Transform):
    """Brightness, contrast and saturation, each multiplied by a number about 1; clipped to the range.

    Args:
        share: of the samples that are changed.
        brightness, contrast, saturation: most that the number differs from 1 by.
    """

    def __init__(
        self, share: Share = 0.6, brightness: Share = 0.4, contrast: Share = 0.3, saturation: Share = 0.2
    ) -> None:
        self.share = share
        self.most = (brightness, contrast, saturation)

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        brightness, contrast, saturation = 1 + generator.uniform(-1, 1, 3) * self.most
        if generator.random() >= self.share:
            return arrays

        def change(image: NDArray[np.float32], white: float) -> NDArray[np.float32]:
            gray = (image * _LUMA).sum(-3, keepdims=True)
            image = gray + np.float32(saturation) * (image - gray)
            middle = np.float32(white / 2)
            return np.float32(brightness) * (middle + np.float32(contrast) * (image - middle))

        return _images(arrays, change)


@TRANSFORMS.register
class GaussNoise(Transform):
    """Independent noise on each value, the same on all frames of a sample.

    Args:
        share: of the samples that are changed.
        sigma: least and most standard deviation, in grey values of 255.
    """

    def __init__(self, share: Share = 0.4, sigma: tuple[AtLeast0, AtLeast0] = (3.0, 7.0)) -> None:
        self.share = share
        self.sigma = sigma

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        sigma = generator.uniform(*self.sigma)
        if generator.random() >= self.share:
            return arrays
        height, width = next(iter(arrays.values())).shape[-2:]
        noise = generator.standard_normal((3, height, width), np.float32)
        return _images(arrays, lambda image, white: image + np.float32(sigma * white / 255) * noise)


def _images(arrays: Arrays, change: Callable[[NDArray[np.float32], float], NDArray[np.float32]]) -> Arrays:
    """Change the colour images among the arrays, of which each is rounded and clipped to its own type."""
    return {
        name: _rounded(change(array.astype(np.float32), np.iinfo(array.dtype).max), array.dtype)
        if _is_image(array)
        else array
        for name, array in arrays.items()
    }


def _is_image(array: NDArray[Any]) -> bool:
    return array.dtype in (np.uint8, np.uint16) and array.ndim > 2 and array.shape[-3] == 3


def _rounded(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    return values.round().clip(0, np.iinfo(dtype).max).astype(dtype)


def _about_the_middle(draws: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """(2, 3), from a pixel (x, y, 1) to where it goes."""
    right, down, turn, slant_x, slant_y = draws
    angle = math.radians(turn)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1, math.tan(math.radians(slant_x))], [math.tan(math.radians(slant_y)), 1]])
    linear = rotation @ shear
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = middle - linear @ middle + np.array([right * width, down * height])
    return np.column_stack([linear, shift])


def _warp(array: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[Any]:
    height, width = array.shape[-2:]
    is_label = array.dtype not in (np.uint8, np.uint16)
    planes = array.reshape(-1, height, width)
    warped = [
        cv2.warpAffine(
            plane.astype(np.float32) if is_label else np.ascontiguousarray(plane),
            matrix,
            (width, height),
            flags=cv2.INTER_NEAREST if is_label else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        for plane in planes
    ]
    return np.stack(warped).reshape(array.shape).astype(array.dtype)
