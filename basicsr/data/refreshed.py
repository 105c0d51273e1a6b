"""Pairs whose label maps follow the network: recomputed every few epochs from its current output."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from basicsr.data.fields import Field, StoredField, label_field
from basicsr.data.paired import PairedImageDataset, Restore
from basicsr.masks.label_map import encode_label_map, read_label_map
from basicsr.utils.convert import AnyPath, Count, ExistingFolder
from basicsr.utils.dist import Ranks, wait_for_all
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit
from basicsr.utils.registry import DATASETS, SEGMENTERS, Nested, split_type

_COMPLETE = "complete"
# A worker reads ahead, so it may need maps that the main process is about to make.
_LONGEST_WAIT = 6 * 3600.0


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class PairedImageRefreshedMaskDataset(PairedImageDataset):
    """Pairs with label maps that a segmenter makes from the network's images every few epochs, in training.

    The first ``refresh_every`` epochs use the maps in ``dataroot_mask``, e.g. of the targets. Later ones are
    in ``dataroot_refreshed/<epoch>``; they are kept, so that a resumed run sees the same ones.

    Args:
        dataroot_mask: folder (or LMDB) of the first label maps.
        dataroot_refreshed: folder for the later ones, for this run only, e.g. ``experiments/NAME/masks``.
        refresh_every: epochs between two segmentations.
        segmenter: block of the segmenter that makes them.
        overlap: rule for overlaps of its masks, see `basicsr.masks.from_stack`.
    """

    dataroot_mask: ExistingFolder
    dataroot_refreshed: AnyPath
    segmenter: Annotated[dict[str, Any], Nested(SEGMENTERS)]
    refresh_every: Count = 10
    overlap: Literal["exact", "smallest_on_top"] = "exact"

    def make_fields(self) -> list[Field]:
        first = label_field("labels", self.dataroot_mask, self.io_backend.type)
        labels = RefreshedLabels(first, Path(self.dataroot_refreshed), self.refresh_every)
        return [*super().make_fields(), labels]

    def begin_epoch(self, epoch: int, midway: bool, restore: Restore, ranks: Ranks) -> None:
        made_in = epoch // self.refresh_every * self.refresh_every
        folder = Path(self.dataroot_refreshed) / str(made_in)
        if made_in == 0 or (folder / _COMPLETE).is_file():
            return
        if midway or epoch != made_in:
            what = f"the label maps of epoch {made_in} no longer exist"
            raise UserError(f"{folder}: {what}; resume from a state before that epoch, or start over")
        segmenter = SEGMENTERS.build(*split_type(self.segmenter))
        lq = self.field("lq")
        for key in self.keys[ranks.rank :: ranks.world_size]:
            image = self.normalize(lq.finish(lq.load(self.field_key(lq, key), epoch)))
            photo = (self.denormalize(restore(image)).clamp(0, 1) * 255).round().byte()
            pixels = np.ascontiguousarray(photo.permute(1, 2, 0).numpy())
            write_bytes(folder / f"{key}.png", encode_label_map(segmenter.labels(pixels, self.overlap), key))
        wait_for_all()
        if ranks.is_main:
            write_bytes(folder / _COMPLETE, b"")
            logger().info(
                f"{folder}: label maps of {len(self.keys)} images, made by {self.segmenter['type']}"
            )
        wait_for_all()


@dataclass(frozen=True)
class RefreshedLabels:
    """Label maps that depend on the epoch.

    Args:
        first: label maps of the epochs before the first refresh.
        folder: of the later ones, with a subfolder for every ``every`` epochs.
        every: epochs between two refreshes.
    """

    first: StoredField
    folder: Path
    every: int
    is_image: bool = False

    @property
    def name(self) -> str:
        """That of the first ones."""
        return self.first.name

    @property
    def root(self) -> str:
        """That of the first ones."""
        return self.first.root

    def keys(self) -> list[str]:
        """Those of the first ones."""
        return self.first.keys()

    def load(self, key: str, epoch: int, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
        """int32 (H, W); waits until the maps of the epoch are made."""
        made_in = epoch // self.every * self.every
        if made_in == 0:
            return self.first.load(key, epoch, limit)
        folder = self.folder / str(made_in)
        waited = 0.0
        while not (folder / _COMPLETE).is_file():
            if waited > _LONGEST_WAIT:
                raise UserError(f"{folder}: no label maps after {waited / 3600:.0f} hours")
            time.sleep(0.05)
            waited += 0.05
        return read_label_map(folder / f"{key}.png")

    def finish(self, array: NDArray[Any]) -> torch.Tensor:
        """int32 (H, W) tensor."""
        return self.first.finish(array)

    def places(self, key: str) -> str:
        """Where the first and the later ones are."""
        return f"{self.first.places(key)}, later {self.folder / '<epoch>' / f'{key}.png'}"
