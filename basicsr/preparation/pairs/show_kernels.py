"""Look at kernels: a sheet of those that a preset makes, or of a folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.preparation.masks.show import contact_sheet
from basicsr.synthesis import KernelFolder, Preset, draw_pair
from basicsr.synthesis.kernels import Kernel
from basicsr.utils.image import write_png
from basicsr.utils.rng import sample_generator

_ENLARGED = 2


def show_kernels(
    rules: Preset, output: Path, count: int = 64, seed: int = 0, kernels: KernelFolder | None = None
) -> None:
    """Write a sheet of ``count`` kernels, drawn as for backgrounds, with their centres marked.

    Raises:
        UserError: a kernel file that cannot be used.
    """
    drawn = (draw_pair(rules, [], sample_generator(seed, 0, number), kernels) for number in range(count))
    write_png(output, contact_sheet([picture(stack[0]) for _, stack in drawn]))


def picture(kernel: Kernel) -> NDArray[np.uint8]:
    """Kernel (K, K) -> RGB, twice as large, white where it is strongest; red lines point at the centre."""
    bright = np.sqrt(kernel / kernel.max())  # weak parts stay visible
    side = _ENLARGED * len(kernel)
    gray = cv2.resize((255 * bright).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    image: NDArray[np.uint8] = np.repeat(gray[..., None], 3, axis=2)
    middle, mark = side // 2, side // 16
    for part in (slice(0, mark), slice(side - mark, side)):
        image[part, middle] = image[middle, part] = (255, 0, 0)
    return image
