"""What the benchmark runs on: photographs of scikit-image, and region maps with a given number of
regions.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap, to_stack, write_label_map
from basicsr.synthesis import blur_image, linear_motion
from basicsr.utils.image import read_rgb, write_png

PHOTOS = ("astronaut.png", "motorcycle_left.png", "coffee.png", "ihc.png")


def photo(name: str, height: int, width: int) -> NDArray[np.uint8]:
    """The center of a photo, RGB (height, width, 3); one that is smaller is continued by reflection."""
    import skimage.data

    image = read_rgb(Path(skimage.data.__file__).parent / name)
    top, left = (max(0, have - want) // 2 for have, want in zip(image.shape, (height, width), strict=False))
    image = image[top : top + height, left : left + width]
    bottom, right = height - image.shape[0], width - image.shape[1]
    return np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="reflect")


def blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo under a short straight motion."""
    return np.round(blur_image(image / 255.0, linear_motion(8.0, 0.5)) * 255).astype(np.uint8)


def region_map(height: int, width: int, regions: int, seed: int = 0) -> LabelMap:
    """``regions`` regions of about equal size with wavy borders, and one more that stays uncovered."""
    generator = np.random.default_rng(seed)
    elsewhere = np.ones((height, width), np.uint8)
    elsewhere.flat[generator.choice(height * width, regions + 1, replace=False)] = 0
    nearest = cv2.distanceTransformWithLabels(
        elsewhere, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    waves = cv2.GaussianBlur(generator.normal(0, 40, (height, width, 2)), (0, 0), 4)
    x, y = (np.indices((height, width))[::-1] + np.moveaxis(waves, 2, 0)).astype(np.float32)
    cells = cv2.remap(nearest.astype(np.float32), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.where(cells <= regions, cells, 0).astype(np.int32)


def write_training_set(folder: Path, size: int, regions: int) -> None:
    """Pairs of ``size`` x ``size`` crops as PNG, with their regions as label maps and as dense stacks:
    ``{target,input,labels,stacks}/<photo>``.
    """
    (folder / "stacks").mkdir()
    for seed, name in enumerate(PHOTOS):
        sharp = photo(name, size, size)
        labels = region_map(size, size, regions, seed)
        stem = Path(name).stem
        write_png(folder / "target" / f"{stem}.png", sharp)
        write_png(folder / "input" / f"{stem}.png", blurred(sharp))
        write_label_map(folder / "labels" / f"{stem}.png", labels)
        np.savez_compressed(folder / "stacks" / f"{stem}.npz", masks=to_stack(labels)[:, None])
