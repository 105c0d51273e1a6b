"""The base class of data sets of images, and paired images with or without region masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from torch.utils.data import Dataset

from basicsr.data.fields import Field, image_field, label_field, mask_field
from basicsr.data.pairing import require_same, templated
from basicsr.data.remarks import Remark
from basicsr.data.transforms import Arrays, build_transforms, usual_transforms
from basicsr.layers.normalization import Normalization
from basicsr.storage import read_meta_info
from basicsr.utils.convert import Advice, Count, ExistingFile, ExistingFolder, FileTemplate
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import UserError
from basicsr.utils.pixel_limit import PixelLimit
from basicsr.utils.registry import DATASETS, TRANSFORMS, WITHOUT_TRUTH, Nested
from basicsr.utils.rng import sample_generator

Restore = Callable[[torch.Tensor], torch.Tensor]


class SampleIndex(NamedTuple):
    """Which sample of which epoch; ``number`` may exceed the number of images (``dataset_enlarge_ratio``)."""

    number: int
    epoch: int


class IoBackend(msgspec.Struct, frozen=True):
    """Where the bytes are stored: files in folders, or one LMDB per data root."""

    type: Literal["disk", "lmdb"] = "disk"


ON_DISK = IoBackend()


@dataclass(kw_only=True, eq=False)
class ImageDataset(Dataset[dict[str, Any]], ABC):
    """Clean images and their other fields: read, checked for equal size, cropped and flipped together.

    A data set is a subclass that lists its fields (`make_fields`). One of them is the reference: its keys are
    the keys of the samples, and all others have its size.

    Args:
        dataroot_gt: folder (or LMDB) of the clean images.
        io_backend: ``{type: disk}`` or ``{type: lmdb}``.
        meta_info_file: text file that selects and orders the images; the first word of a line is a file name.
        gt_size: side of the square training crops in pixels; null trains on whole images.
        use_flip: flip left-right at random in training.
        use_rot: flip top-bottom and transpose at random in training.
        transforms: blocks of `basicsr.data.transforms` applied to training samples in this order; they
            replace ``gt_size``, ``use_flip`` and ``use_rot``. Null uses these three.
        mean: subtracted from each channel of all images. Null and ``std: null`` follow the weights; new ones
            are trained without.
        std: divides each channel of all images.
        gamma: exponent applied to all images in [0, 1] before that; 2.2 trains in approximately linear light.
        seed: of the random numbers, together with epoch and number of the sample.
        train: apply the transforms.

    Samples hold the fields of `basicsr.data.fields` and ``key``.

    Attributes:
        reference: name of the reference field.
        normalization: by ``mean``, ``std`` and ``gamma``; if none is given, None until the weights specify
            one.
    """

    reference: ClassVar[str] = "gt"

    dataroot_gt: Annotated[ExistingFolder, Advice(missing=WITHOUT_TRUTH)]
    io_backend: IoBackend = ON_DISK
    meta_info_file: ExistingFile | None = None
    gt_size: Count | None = None
    use_flip: bool = False
    use_rot: bool = False
    transforms: list[Annotated[dict[str, Any], Nested(TRANSFORMS)]] | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    gamma: Annotated[float, msgspec.Meta(gt=0)] | None = None
    seed: int = 0
    train: bool = False

    def __post_init__(self) -> None:
        self.normalization = Normalization.of(self.mean, self.std, self.gamma)
        self.fields = self.make_fields()
        self._transforms = build_transforms(self._blocks(), self.margin)
        reference = self.field(self.reference)
        meta = self.meta_info_file
        self.keys = reference.keys() if meta is None else read_meta_info(Path(meta))
        for field in self.fields:
            expected = {self.field_key(field, key) for key in self.keys}
            # A meta file selects, so files not in its list are not a mistake.
            found = set(field.keys()) if meta is None else expected.intersection(field.keys())
            require_same(expected, found, meta or reference.root, field.root)

    @abstractmethod
    def make_fields(self) -> list[Field]:
        """The fields that are read for a sample, including the reference."""

    def field(self, name: str) -> Field:
        """The field of that name.

        Raises:
            KeyError: if there is none.
        """
        return {field.name: field for field in self.fields}[name]

    @property
    def delivers(self) -> tuple[str, ...]:
        """Names of the fields of a batch, after `complete`."""
        return tuple(field.name for field in self.fields)

    @property
    def margin(self) -> int:
        """Pixels of height and width that `finish` cuts off; crops are larger by the same number."""
        return 0

    def _blocks(self) -> list[dict[str, Any]]:
        usual = usual_transforms(self.gt_size, self.use_flip, self.use_rot)
        if self.transforms is None:
            return usual
        if usual:
            raise ValueError("transforms replace gt_size, use_flip and use_rot; leave those out")
        return self.transforms

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, which: SampleIndex | int) -> dict[str, Any]:
        return self.read(which)[0]

    def read(self, which: SampleIndex | int) -> tuple[dict[str, Any], list[Remark]]:
        """The sample, and in training the remarks on it.

        Raises:
            UserError: if a file cannot be read, or does not belong to the others; names the file.
        """
        number, epoch = which if isinstance(which, SampleIndex) else (which, 0)
        key = self.keys[number % len(self.keys)]
        arrays = self._load(key, epoch)
        self._check_sizes(key, arrays)
        generator = sample_generator(self.seed, epoch, number)
        remarks = self._without_regions(key, arrays) if self.train else []
        arrays = self.arrange(arrays, key, generator)
        if self.train:
            for transform in self._transforms:
                remarks += self._smaller_than(transform.least_side, key, arrays)
                arrays = transform(arrays, generator)
        return self.finish(arrays, key, generator) | {"key": key}, remarks

    def arrange(self, arrays: Arrays, key: str, generator: np.random.Generator) -> Arrays:
        """Change the arrays of a sample before the transforms, also in evaluation; does nothing by default.

        Args:
            arrays, key, generator: as for `finish`.
        """
        return arrays

    def finish(self, arrays: Arrays, key: str, generator: np.random.Generator) -> dict[str, Any]:
        """The sample, after the transforms.

        Args:
            arrays: by name of the field; the last axes are (H, W).
            key: for errors.
            generator: of this sample.
        """
        sample = {}
        for field in self.fields:
            tensor = field.finish(arrays[field.name])
            sample[field.name] = self.normalize(tensor) if field.is_image else tensor
        return sample

    def complete(self, batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
        """Finish a training batch in the main process; does nothing by default.

        Args:
            device: where the batch will be used.
        """
        return batch

    def begin_epoch(self, epoch: int, midway: bool, restore: Restore, ranks: Ranks) -> None:
        """Called in each process before the first batch with a sample of this epoch; does nothing by default.

        Workers read ahead, so they may need what is made here before it exists.

        Args:
            epoch: of training, from 0.
            midway: whether a resumed run continues in the middle of it.
            restore: normalized image (3, H, W) -> the output of the network, on the CPU.
            ranks: of the processes, which may share the work.
        """

    def places(self, key: str) -> dict[str, str]:
        """Where each field of a sample is read from: a file, or an entry of an LMDB."""
        return {field.name: field.places(self.field_key(field, key)) for field in self.fields}

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """Apply ``gamma``, ``mean`` and ``std`` to (.., 3, H, W)."""
        return image if self.normalization is None else self.normalization.apply(image)

    def denormalize(self, image: torch.Tensor) -> torch.Tensor:
        """Undo `normalize`."""
        return image if self.normalization is None else self.normalization.undo(image)

    def field_key(self, field: Field, key: str) -> str:
        """The key in another field for ``key`` of the reference."""
        return key

    def _load(self, key: str, epoch: int) -> Arrays:
        """All fields, the reference first, since it limits the size of the others."""
        reference = self.field(self.reference)
        first = reference.load(self.field_key(reference, key), epoch)
        limit = PixelLimit.of_partner(*first.shape[-2:])
        return {
            field.name: first if field is reference else field.load(self.field_key(field, key), epoch, limit)
            for field in self.fields
        }

    def _check_sizes(self, key: str, arrays: Arrays) -> None:
        height, width = arrays[self.reference].shape[-2:]
        for name, array in arrays.items():
            if array.shape[-2:] != (height, width):
                found = f"{array.shape[-1]}x{array.shape[-2]} pixels, {self.reference} {width}x{height}"
                raise UserError(f"{self.places(key)[name]}: {name} has {found}; make them the same size")

    def _without_regions(self, key: str, arrays: Arrays) -> list[Remark]:
        empty = [field.name for field in self.fields if not field.is_image and not arrays[field.name].max()]
        return [Remark("empty", f"{self.places(key)[name]}: no region in it") for name in empty]

    def _smaller_than(self, side: int, key: str, arrays: Arrays) -> list[Remark]:
        height, width = arrays[self.reference].shape[-2:]
        if min(height, width) >= side:
            return []
        what = f"{width}x{height} pixels, less than the crop of {side}x{side}"
        return [Remark("small", f"{self.places(key)[self.reference]}: {what}")]


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class PairedImageDataset(ImageDataset):
    """Degraded images and their clean targets, paired by file stem.

    Args:
        dataroot_lq: folder (or LMDB) of the degraded images.
        filename_tmpl: name of a degraded image for the stem of its target, e.g. ``"{}_blur"``.
    """

    dataroot_lq: ExistingFolder
    filename_tmpl: FileTemplate = "{}"

    def make_fields(self) -> list[Field]:
        backend = self.io_backend.type
        return [
            image_field("gt", self.dataroot_gt, backend),
            image_field("lq", self.dataroot_lq, backend),
        ]

    def field_key(self, field: Field, key: str) -> str:
        return templated(key, self.filename_tmpl) if field.name == "lq" else key


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class PairedImageMaskDataset(PairedImageDataset):
    """Pairs with one gray mask image each, for networks with ``mask: true`` (the CAT row of SAM-Deblur).

    Args:
        dataroot_mask: folder (or LMDB) of gray images.
    """

    dataroot_mask: ExistingFolder

    def make_fields(self) -> list[Field]:
        return [*super().make_fields(), mask_field("mask", self.dataroot_mask, self.io_backend.type)]


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class PairedImageGroupMaskDataset(PairedImageDataset):
    """Pairs with one label map each, for networks that take labels (SegNAFNet).

    Args:
        dataroot_mask: folder (or LMDB) of label maps: 16-bit PNG, 8-bit gray PNG or published ``.npz``.
    """

    dataroot_mask: ExistingFolder

    def make_fields(self) -> list[Field]:
        return [*super().make_fields(), label_field("labels", self.dataroot_mask, self.io_backend.type)]
