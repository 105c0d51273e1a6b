"""The Demo set: photos that scikit-image carries, blurred by short straight motion, with masks.

Nothing is downloaded. Layout below the given folder:
``{train,test}/{target,input,input_mask,grouped_masks}/<photo>_<n>.png``.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from basicsr.masks.label_map import to_stack, write_label_map
from basicsr.masks.legacy import published_gray
from basicsr.segmenters.graph import graph_regions
from basicsr.synthesis import blur_image, linear_motion
from basicsr.utils.errors import UserError
from basicsr.utils.image import Array, read_rgb, write_png
from basicsr.utils.rng import sample_generator

PHOTOS = {
    "train": (
        "astronaut.png",
        "rocket.jpg",
        "motorcycle_left.png",
        "hubble_deep_field.jpg",
        "camera.png",
        "grass.png",
        "gravel.png",
        "brick.png",
    ),
    "test": ("chelsea.png", "coffee.png"),
}
COPIES = {"train": 12, "test": 3}
_BLUR_PIXELS = (6.0, 12.0)
_TRAIN_CROP = 192


def make_demo_dataset(folder: Path, seed: int = 42) -> int:
    """Write the Demo set; files that are there already are kept. Returns the number of pairs.

    Each photo is blurred several times, by motion of 6 to 12 pixels in any direction, in linear light.
    Training pairs are crops of 192 pixels, test pairs whole photos. Regions are found on the blurred image,
    as they will be for a user's.
    """
    number = 0
    for split, photos in PHOTOS.items():
        for photo in photos:
            sharp = _read_photo(photo)
            for copy in range(COPIES[split]):
                generator = sample_generator(seed, zlib.crc32(photo.encode()), copy)
                pair = _blurred_pair(sharp, generator)
                if split == "train":
                    pair = _crop(pair, generator)
                _write_pair(folder / split, f"{Path(photo).stem}_{copy}.png", *pair)
                number += 1
    return number


def _read_photo(name: str) -> Array:
    import skimage.data

    path = Path(skimage.data.__file__).parent / name
    if not path.is_file():
        raise UserError(
            f"{path}: this version of scikit-image does not carry the photo; install scikit-image>=0.22"
        )
    return read_rgb(path)


def _blurred_pair(sharp: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    kernel = linear_motion(generator.uniform(*_BLUR_PIXELS), generator.uniform(0, math.pi))
    return sharp, np.round(blur_image(sharp / 255.0, kernel) * 255).astype(np.uint8)


def _crop(pair: tuple[Array, Array], generator: np.random.Generator) -> tuple[Array, Array]:
    top, left = (int(generator.integers(length - _TRAIN_CROP + 1)) for length in pair[0].shape[:2])
    window = np.s_[top : top + _TRAIN_CROP, left : left + _TRAIN_CROP]
    return pair[0][window], pair[1][window]


def _write_pair(folder: Path, name: str, sharp: Array, blurred: Array) -> None:
    places = [folder / kind / name for kind in ("target", "input", "input_mask", "grouped_masks")]
    if all(place.is_file() for place in places):
        return
    labels = graph_regions(blurred)
    target, source, mask, regions = places
    write_png(target, sharp)
    write_png(source, blurred)
    write_png(mask, published_gray(to_stack(labels)))
    write_label_map(regions, labels)
