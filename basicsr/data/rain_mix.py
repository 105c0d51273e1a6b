"""More rain on rainy pairs, so that a network sees streaks that the data set does not have.

After Guo et al., "EfficientDeRain: Learning Pixel-wise Dilation Filtering for High-Efficiency Single-Image
Deraining" (AAAI 2021), section RainMix; the mixing is that of Hendrycks et al., "AugMix" (ICLR 2020).
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import cv2
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from basicsr.data.transforms import Arrays, Transform
from basicsr.storage import DiskStorage
from basicsr.synthesis import RAIN, RainName, rain_layer
from basicsr.utils.convert import Count, ExistingFolder, Share
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE, decode_rgb
from basicsr.utils.registry import TRANSFORMS

Layer = NDArray[np.float32]
Affine = NDArray[np.float64]

_LONGEST_CHAIN = 3
_OPERATIONS = ("turn", "shear_x", "shear_y", "shift_x", "shift_y", "zoom_x", "zoom_y", "zoom")
# What an operation does at most, at severity 10.
_TURN = math.radians(30)
_SHEAR = 0.3
_SHIFT = 1 / 3  # of the side
_ZOOM = 2.0


@TRANSFORMS.register
class RainMix(Transform):
    """Put one mixed streak layer on ``lq``, or instead of it on ``gt``; only ``lq`` changes.

    A layer of streaks r0 becomes s = (1 - m) r0 + m * (w1 r1 + .. + wn rn). Each r is r0 after a chain of 1
    to 3 random turns, shears, shifts and zooms, w is drawn from Dirichlet(1, .., 1) and m from Beta(1, 1).
    Then lq = b + s - b * s, where the base b is ``gt`` with ``clean_prob``, else ``lq``.

    Args:
        streaks: folder of streak layers, bright on black, as Garg and Nayar's; each sample gets a random
            window of one, which is enlarged where it is too small. Null makes them.
        preset: how it rains where ``streaks`` is null, see `basicsr.synthesis.rain`.
        clean_prob: how often ``gt`` is the base; 4/11 as published.
        severity: strength of the operations, up to 10.
        width: number n of chains.

    Raises:
        UserError: no image in ``streaks``; or, when called, a sample without ``gt`` and ``lq``.
    """

    def __init__(
        self,
        streaks: ExistingFolder | None = None,
        preset: RainName = "light",
        clean_prob: Share = 4 / 11,
        severity: Annotated[float, Meta(gt=0, le=10)] = 3.0,
        width: Count = 3,
    ) -> None:
        self._files = None if streaks is None else DiskStorage(streaks, READABLE)
        self._keys = [] if self._files is None else self._files.keys()
        self.rules = RAIN[preset]
        self.clean_prob = clean_prob
        self.severity = severity
        self.width = width

    def __call__(self, arrays: Arrays, generator: np.random.Generator) -> Arrays:
        if not {"gt", "lq"} <= arrays.keys():
            has = ", ".join(arrays)
            raise UserError(f"RainMix: needs samples with gt and lq, found {has}; use a data set of pairs")
        base = arrays["gt" if generator.random() < self.clean_prob else "lq"]
        height, width = base.shape[-2:]
        mixed = self.mix(self._streaks(height, width, generator), generator)
        white = np.iinfo(base.dtype).max
        wet = base + mixed * (white - base.astype(np.float32))
        return arrays | {"lq": np.round(wet).astype(base.dtype)}

    def mix(self, layer: Layer, generator: np.random.Generator) -> Layer:
        """Streaks (H, W) in [0, 1] -> those that are put on a photo, in [0, 1]."""
        height, width = layer.shape
        mixed = np.zeros_like(layer)
        for weight in generator.dirichlet(np.ones(self.width)):
            chain = np.eye(3)
            for _ in range(int(generator.integers(1, _LONGEST_CHAIN, endpoint=True))):
                chain = self._operation(height, width, generator) @ chain
            center = _shift((width - 1) / 2, (height - 1) / 2)
            moved = cv2.warpAffine(
                layer,
                (center @ chain @ np.linalg.inv(center))[:2],
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT,  # it rains up to the edges, whatever was shifted
            )
            mixed += np.float32(weight) * moved
        share = np.float32(generator.beta(1, 1))
        return np.asarray((1 - share) * layer + share * mixed, np.float32)

    def _streaks(self, height: int, width: int, generator: np.random.Generator) -> Layer:
        if self._files is None:
            return np.minimum(rain_layer(height, width, self.rules, generator), 1)
        key = self._keys[int(generator.integers(len(self._keys)))]
        picture = decode_rgb(self._files.read(key), self._files.describe(key))
        layer = picture.max(-1).astype(np.float32) / np.iinfo(picture.dtype).max
        scale = max(1, height / layer.shape[0], width / layer.shape[1])
        if scale > 1:
            size = [math.ceil(scale * length) for length in layer.shape[::-1]]
            layer = np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_LINEAR), np.float32)
        top = int(generator.integers(layer.shape[0] - height + 1))
        left = int(generator.integers(layer.shape[1] - width + 1))
        return layer[top : top + height, left : left + width]

    def _operation(self, height: int, width: int, generator: np.random.Generator) -> Affine:
        """(3, 3) around the middle of the image."""
        kind = _OPERATIONS[int(generator.integers(len(_OPERATIONS)))]
        amount = generator.uniform(0, self.severity / 10)
        signed = amount if generator.random() < 0.5 else -amount
        matrix = np.eye(3)
        match kind:
            case "turn":
                cosine, sine = math.cos(signed * _TURN), math.sin(signed * _TURN)
                matrix[:2, :2] = [[cosine, sine], [-sine, cosine]]
            case "shear_x":
                matrix[0, 1] = signed * _SHEAR
            case "shear_y":
                matrix[1, 0] = signed * _SHEAR
            case "shift_x":
                matrix = _shift(signed * _SHIFT * width, 0)
            case "shift_y":
                matrix = _shift(0, signed * _SHIFT * height)
            case _:
                zoom = _ZOOM**signed
                if kind != "zoom_y":
                    matrix[0, 0] = zoom
                if kind != "zoom_x":
                    matrix[1, 1] = zoom
        return matrix


def _shift(right: float, down: float) -> NDArray[Any]:
    matrix = np.eye(3)
    matrix[:2, 2] = right, down
    return matrix
