"""Rainy pairs made on the fly from sharp photos."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch

from basicsr.config.schema import Whole
from basicsr.data.fields import Field, image_field, label_field
from basicsr.data.paired import ImageDataset
from basicsr.data.transforms import Arrays
from basicsr.synthesis import RAIN, RainName, rain_layer
from basicsr.utils.convert import ExistingFolder
from basicsr.utils.registry import DATASETS
from basicsr.utils.rng import sample_generator


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class SyntheticRainDataset(ImageDataset):
    """Sharp photos with different rain each time: lq = gt + streaks, clipped to [0, 1].

    A training sample is cropped first, then gets rain. In evaluation, the rain of each photo depends on its
    key only, not on the seed or the other photos.

    Args:
        dataroot_mask: folder (or LMDB) of label maps of the photos, which samples then hold as ``labels``.
        preset: kind of rain, see `basicsr.synthesis.rain`. For each option below, null is the preset's.
        layers: smallest and largest number of layers of parallel streaks.
        density: streaks per layer and 1000 pixels; minimum and maximum.
        length, width: of a streak, in pixels; minimum and maximum.
        angle: degrees from the vertical, positive falls to the right; minimum and maximum.
        strength: brightness of a streak, 1 is white; minimum and maximum.

    Raises:
        ValueError: if one of these pairs is not increasing, or out of range.
    """

    dataroot_mask: ExistingFolder | None = None
    preset: RainName = "light"
    layers: tuple[Whole, Whole] | None = None
    density: tuple[float, float] | None = None
    length: tuple[float, float] | None = None
    width: tuple[float, float] | None = None
    angle: tuple[float, float] | None = None
    strength: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        asked = {
            "layers": self.layers,
            "density": self.density,
            "length": self.length,
            "width": self.width,
            "angle": self.angle,
            "strength": self.strength,
        }
        changes = {name: value for name, value in asked.items() if value is not None}
        self._rules = msgspec.structs.replace(RAIN[self.preset], **changes)
        super().__post_init__()

    def make_fields(self) -> list[Field]:
        backend = self.io_backend.type
        fields: list[Field] = [image_field("gt", self.dataroot_gt, backend)]
        if self.dataroot_mask is not None:
            fields.append(label_field("labels", self.dataroot_mask, backend))
        return fields

    @property
    def delivers(self) -> tuple[str, ...]:
        return ("gt", "lq", "labels")[: 2 if self.dataroot_mask is None else 3]

    def finish(self, arrays: Arrays, key: str, generator: np.random.Generator) -> dict[str, Any]:
        if not self.train:
            generator = sample_generator(0, 0, zlib.crc32(os.fsencode(key)))
        gt = self.field("gt").finish(arrays["gt"])
        height, width = gt.shape[-2:]
        rain = torch.from_numpy(rain_layer(height, width, self._rules, generator))
        sample = {"gt": self.normalize(gt), "lq": self.normalize((gt + rain).clamp(max=1))}
        if "labels" in arrays:
            sample["labels"] = self.field("labels").finish(arrays["labels"])
        return sample
