"""Pairs made on the fly from sharp photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from basicsr.config.schema import Whole
from basicsr.data.fields import Field, image_field, label_field
from basicsr.data.paired import ImageDataset
from basicsr.data.transforms import Arrays
from basicsr.masks import LabelMap
from basicsr.synthesis import PRESETS, Draw, KernelFolder, PresetName, choose_regions, draw_pair, make_pair
from basicsr.utils.convert import ExistingFolder
from basicsr.utils.errors import UserError
from basicsr.utils.registry import DATASETS

Seconds = Annotated[float, msgspec.Meta(gt=0)]


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class SyntheticBlurDataset(ImageDataset):
    """Sharp photos, blurred differently each time: training needs no pairs.

    A training sample blurs a crop of ``gt_size`` (or of a ``RandomCrop``) + kernel size - 1, never the whole
    photo. Evaluation blurs whole photos, each always in the same way; the pair is smaller than the photo by
    kernel size - 1.

    Args:
        dataroot_mask: folder (or LMDB) of label maps of the photos; some of their regions move independently.
            Null blurs each photo with one kernel.
        preset: how pairs are made, see `basicsr.synthesis.presets`.
        max_objects: largest number of regions that move independently; null is the preset's.
        min_object_area: smallest area of such a region in the crop, in pixels; null is the preset's.
        exposure: shortest and longest, in seconds: how strong the blur is; null is the preset's.
        kernels: folder of ``.mat``, ``.npy`` or ``.png`` kernels to draw from; null makes them.
        on_device: blur training batches on the device of the network, not in the workers that load the
            photos; null does so if there is a GPU.
    """

    dataroot_mask: ExistingFolder | None = None
    preset: PresetName = "realistic"
    max_objects: Whole | None = None
    min_object_area: Whole | None = None
    exposure: tuple[Seconds, Seconds] | None = None
    kernels: ExistingFolder | None = None
    on_device: bool | None = None

    def __post_init__(self) -> None:
        self._rules = PRESETS[self.preset].adapted(
            self.max_objects, self.min_object_area, exposure=self.exposure
        )
        super().__post_init__()
        self._files = KernelFolder(self.kernels, self._rules.kernel_size) if self.kernels else None
        wanted = torch.cuda.is_available() if self.on_device is None else self.on_device
        self._postpones = wanted and self.train

    def make_fields(self) -> list[Field]:
        backend = self.io_backend.type
        fields: list[Field] = [image_field("gt", self.dataroot_gt, backend)]
        if self.dataroot_mask is not None:
            fields.append(label_field("labels", self.dataroot_mask, backend))
        return fields

    @property
    def delivers(self) -> tuple[str, ...]:
        return ("gt", "lq", "labels")[: 2 if self.dataroot_mask is None else 3]

    @property
    def margin(self) -> int:
        return self._rules.kernel_size - 1

    def finish(self, arrays: Arrays, key: str, generator: np.random.Generator) -> dict[str, Any]:
        height, width = arrays["gt"].shape[-2:]
        size = self._rules.kernel_size
        if min(height, width) < size:
            found = f"{width}x{height} pixels, kernels {size}x{size}"
            raise UserError(f"{self.places(key)['gt']}: has {found}; leave it out or train with gt_size")
        labels = arrays.get("labels")
        regions = [] if labels is None else choose_regions(labels, self._rules, generator)
        draw, kernels = draw_pair(self._rules, regions, generator, self._files)
        sharp = self.field("gt").finish(arrays["gt"])
        objects = _planes(labels, regions, (height, width))
        sample = {} if labels is None else {"labels": self.field("labels").finish(_inner(labels, size // 2))}
        if self._postpones:
            # samples of a batch need equal shapes, so some objects are empty; text needs no shape
            missing = self._rules.objects[1] - len(regions)
            sample |= {
                "sharp": sharp,
                "objects": torch.nn.functional.pad(objects, (0, 0, 0, 0, 0, missing)),
                "kernels": torch.nn.functional.pad(_tensor(kernels), (0, 0, 0, 0, 0, missing)),
            }
            return sample | {"draw": msgspec.json.encode(draw).decode()}
        lq, gt = make_pair(sharp, objects, _tensor(kernels), draw)
        return sample | {"lq": self._scaled(lq), "gt": self._scaled(gt)}

    def complete(self, batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
        if not self._postpones:
            return batch
        parts = [batch.pop(name).to(device, non_blocking=True) for name in ("sharp", "objects", "kernels")]
        pairs = []
        for sharp, objects, kernels, text in zip(*parts, batch.pop("draw"), strict=True):
            draw = msgspec.json.decode(text, type=Draw)
            used = len(draw.motions)
            pairs.append(make_pair(sharp, objects[: used - 1], kernels[:used], draw))
        lq, gt = (self._scaled(torch.stack(images)) for images in zip(*pairs, strict=True))
        return batch | {"lq": lq, "gt": gt}

    def _scaled(self, image: Tensor) -> Tensor:
        return self.normalize(image.float() / 255)


def _planes(labels: LabelMap | None, regions: list[int], size: tuple[int, int]) -> Tensor:
    if labels is None:
        return torch.zeros(0, *size, dtype=torch.bool)
    return torch.from_numpy(labels == np.array(regions)[:, None, None])


def _inner(labels: LabelMap, margin: int) -> LabelMap:
    return labels[margin : labels.shape[0] - margin, margin : labels.shape[1] - margin]


def _tensor(kernels: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(kernels).float()
