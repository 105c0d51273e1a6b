"""The Demo data set: photographs that scikit-image carries, blurred by short straight motion, with region
masks.

Nothing is downloaded. Layout below the given folder:
``{train,test}/{target,input,input_mask,grouped_masks}/<photo>_<n>.png``.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from basicsr.masks.label_map import to_stack, write_label_map
from basicsr.masks.legacy import published_grey
from basicsr.segmenters.graph import graph_regions
from basicsr.synthesis import blur_image, linear_motion
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.rng import sample_generator

PHOTOS = {
    "train": (
        "astronaut.png",
        "coffee.png",
        "motorcycle_left.png",
        "ihc.png",
        "retina.jpg",
        "hubble_deep_field.jpg",
    ),
    "test": ("chelsea.png", "rocket.jpg"),
}
COPIES = {"train": 8, "test": 3}
_BLUR_PIXELS = (4.0, 8.0)
_LONGEST_SIDE = 640


def make_demo_dataset(folder: Path, seed: int = 42) -> int:
    """Write the Demo set; files that are there already are kept. Returns the number of pairs.

    Each photo is blurred several times, with lengths of 4 to 8 pixels and any direction, in linear light;
    regions are found on the blurred photo, as they will be for a user's.
    """
    number = 0
    for split, photos in PHOTOS.items():
        for photo_index, photo in enumerate(photos):
            sharp = _read_photo(photo)
            for copy in range(COPIES[split]):
                generator = sample_generator(
                    seed, photo_index + len(PHOTOS["train"]) * (split == "test"), copy
                )
                _write_pair(folder / split, f"{Path(photo).stem}_{copy}.png", sharp, generator)
                number += 1
    return number


def _read_photo(name: str) -> NDArray[np.uint8]:
    import skimage.data

    path = Path(skimage.data.__file__).parent / name
    if not path.is_file():
        raise UserError(
            f"{path}: this version of scikit-image does not carry the photo; install scikit-image>=0.22"
        )
    image = read_rgb(path)
    top, left = (max(0, (length - _LONGEST_SIDE) // 2) for length in image.shape[:2])
    return image[top : top + _LONGEST_SIDE, left : left + _LONGEST_SIDE].astype(np.uint8)


def _write_pair(folder: Path, name: str, sharp: NDArray[np.uint8], generator: np.random.Generator) -> None:
    places = [folder / kind / name for kind in ("target", "input", "input_mask", "grouped_masks")]
    if all(place.is_file() for place in places):
        return
    kernel = linear_motion(generator.uniform(*_BLUR_PIXELS), generator.uniform(0, math.pi))
    blurred = np.round(blur_image(sharp / 255.0, kernel) * 255).astype(np.uint8)
    labels = graph_regions(blurred)
    target, source, mask, regions = places
    write_png(target, sharp)
    write_png(source, blurred)
    write_png(mask, published_grey(to_stack(labels)))
    write_label_map(regions, labels)
