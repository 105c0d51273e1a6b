"""Transforms of training samples between decoding and tensors, applied to all fields at once.

The last axes of every array are (H, W), so one crop, flip or transposition works for images, frames, masks
and label maps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from basicsr.utils.convert import Count
from basicsr.utils.registry import TRANSFORMS, split_type

Arrays = dict[str, NDArray[Any]]


class Transform(ABC):
    """One step of ``transforms``; a registered subclass is the ``type`` of a block in that list.

    The constructor's arguments are its options, except ``margin``: the data set passes in it how many pixels
    of height and width it will cut off, so that crops can be larger by the same number. Instances can be
    pickled; they act in training only.

    Attributes:
        one_size: whether all samples have the same size afterwards, as a batch requires.
        least_side: pixels of height and width that it expects; smaller samples are reported to the user.
    """

    one_size: bool = False
    least_side: int = 0

    @abstractmethod
    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        """The arrays of one sample -> what they become; shapes still agree in (H, W).

        Args:
            arrays: by name of the field, with last axes (H, W); images are RGB (.., 3, H, W), uint8 or
                uint16.
            generator: of this sample, the only source of random numbers.
        """


@TRANSFORMS.register
class RandomCrop(Transform):
    """The same square window of every field; smaller images are first extended by reflection.

    Args:
        size: side of the window in pixels.
        margin: pixels that the data set cuts off later.
    """

    one_size = True

    def __init__(self, size: Count, margin: int = 0) -> None:
        self.least_side = size + margin

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        side = self.least_side
        arrays = {name: _reflect_to(array, side) for name, array in arrays.items()}
        height, width = next(iter(arrays.values())).shape[-2:]
        top = int(generator.integers(height - side + 1))
        left = int(generator.integers(width - side + 1))
        return {name: array[..., top : top + side, left : left + side] for name, array in arrays.items()}


@TRANSFORMS.register
class RandomFlip(Transform):
    """Left-right, with probability 1/2."""

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        if generator.random() < 0.5:
            arrays = {name: array[..., ::-1] for name, array in arrays.items()}
        return arrays


@TRANSFORMS.register
class RandomRotate(Transform):
    """Top-bottom and transposition, each with probability 1/2.

    Together with `RandomFlip` these are all symmetries of the square, with equal probability.
    """

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        if generator.random() < 0.5:
            arrays = {name: array[..., ::-1, :] for name, array in arrays.items()}
        if generator.random() < 0.5:
            arrays = {name: array.swapaxes(-2, -1) for name, array in arrays.items()}
        return arrays


@TRANSFORMS.register
class RandomChannelShuffle(Transform):
    """Red, green and blue of all images in one random order, each of the six with equal probability."""

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        order = generator.permutation(3)
        return arrays | {name: image[..., order, :, :] for name, image in _images(arrays).items()}


@TRANSFORMS.register
class RandomSaturation(Transform):
    """The saturation of all images, as in HSV, times one factor.

    Value and hue are kept. If a saturation beyond 1 would make a channel negative, the channel becomes 0.

    Args:
        least, most: the factor is uniform between them.

    Raises:
        ValueError: if ``most`` is below ``least``.
    """

    def __init__(
        self, least: Annotated[float, Meta(ge=0)] = 0.5, most: Annotated[float, Meta(ge=0)] = 1.5
    ) -> None:
        if most < least:
            raise ValueError(f"RandomSaturation: most {most} is below least {least}")
        self.least, self.most = least, most

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        factor = generator.uniform(self.least, self.most)
        return arrays | {name: _saturated(image, factor) for name, image in _images(arrays).items()}


def usual_transforms(gt_size: int | None, use_flip: bool, use_rot: bool) -> list[dict[str, Any]]:
    """The blocks for the three published options."""
    blocks: list[dict[str, Any]] = [] if gt_size is None else [{"type": "RandomCrop", "size": gt_size}]
    if use_flip:
        blocks.append({"type": "RandomFlip"})
    if use_rot:
        blocks.append({"type": "RandomRotate"})
    return blocks


def build_transforms(blocks: Iterable[Mapping[str, Any]], margin: int = 0) -> list[Transform]:
    """Instances of the blocks of ``transforms``.

    Args:
        margin: pixels of height and width that are cut off after them.

    Raises:
        OptionError: if a type is unknown, or options are wrong.
    """
    return [TRANSFORMS.build(*split_type(block), margin=margin) for block in blocks]


def _images(arrays: Arrays) -> Arrays:
    """The fields that are RGB."""
    return {
        name: array
        for name, array in arrays.items()
        if array.shape[-3:-2] == (3,) and array.dtype in (np.uint8, np.uint16)
    }


def _saturated(image: NDArray[Any], factor: float) -> NDArray[Any]:
    """RGB (.., 3, H, W) with ``factor`` times the saturation."""
    # In HSV each channel is value * (1 - saturation * a factor that depends on the hue).
    value = image.max(axis=-3, keepdims=True).astype(np.float32)
    return np.rint((value - np.float32(factor) * (value - image)).clip(0)).astype(image.dtype)


def _reflect_to(array: NDArray[Any], size: int) -> NDArray[Any]:
    bottom, right = (max(0, size - length) for length in array.shape[-2:])
    if bottom == right == 0:
        return array
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, bottom), (0, right)], mode="reflect")
