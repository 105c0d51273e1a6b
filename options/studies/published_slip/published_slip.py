"""How SAM-Deblur's published trainer turned images and masks: unlike each other in half of the samples.

A plugin of the study evidence_rows.yml, which asks what the slip does to the published table.
"""

from __future__ import annotations

import numpy as np

from basicsr.data.transforms import Arrays, Transform
from basicsr.utils.registry import TRANSFORMS


@TRANSFORMS.register
class RandomRotateWithSlip(Transform):
    """Top-bottom, and transposition of images but a quarter turn of label maps, each with probability 1/2."""

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        if generator.random() < 0.5:
            arrays = {name: array[..., ::-1, :] for name, array in arrays.items()}
        if generator.random() < 0.5:
            arrays = {
                name: np.rot90(array, axes=(-2, -1)) if name == "labels" else array.swapaxes(-2, -1)
                for name, array in arrays.items()
            }
        return arrays
