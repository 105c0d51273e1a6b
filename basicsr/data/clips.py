"""Blurred photos with the frames that they were made from."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from basicsr.data.boxes import cut_box, read_box, widened
from basicsr.data.clip_metadata import Clip, Partition, key_of, read_clip_metadata
from basicsr.data.fields import ChosenField, Field, FramesField, StoredField, image_field
from basicsr.data.frame_windows import frame_windows
from basicsr.data.paired import ImageDataset
from basicsr.data.transforms import Arrays
from basicsr.utils.convert import Count, ExistingFile
from basicsr.utils.errors import UserError
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit
from basicsr.utils.registry import DATASETS
from basicsr.utils.rng import sample_generator

Reading = Literal["metadata", "stored"]


@dataclass(frozen=True)
class TossedFrames:
    """Frames of clips, some of which come in either direction, by a coin tossed again in each epoch.

    Args:
        frames: field of the frames in the known direction.
        tossed: keys of the clips whose direction is random.
        seed: of the coins, together with the key and the epoch.
    """

    frames: FramesField
    tossed: frozenset[str]
    seed: int

    @property
    def name(self) -> str:
        """Name of the field of a frame."""
        return self.frames.name

    @property
    def root(self) -> str:
        """The file that selects the frames."""
        return self.frames.root

    @property
    def is_image(self) -> bool:
        """As for a frame."""
        return self.frames.is_image

    def keys(self) -> list[str]:
        """In the order of the file."""
        return self.frames.keys()

    def load(self, key: str, epoch: int, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
        """All frames of ``key``."""
        frames = self.frames.load(key, epoch, limit)
        if key not in self.tossed:
            return frames
        generator = sample_generator(self.seed, epoch, zlib.crc32(os.fsencode(key)))
        return frames[::-1] if generator.random() < 0.5 else frames

    def finish(self, array: NDArray[Any]) -> torch.Tensor:
        """Each frame finished separately, then stacked."""
        return self.frames.finish(array)

    def places(self, key: str) -> str:
        """First and last frame."""
        return self.frames.places(key)


@dataclass(kw_only=True, eq=False)
class FramesDataset(ImageDataset):
    """Samples with ``frames`` (N, 3, H, W), the photo ``lq``, and the middle frame ``middle``."""

    reference = "frames"

    @property
    def delivers(self) -> tuple[str, ...]:
        return ("frames", "lq", "middle")

    def finish(self, arrays: Arrays, key: str, generator: np.random.Generator) -> dict[str, Any]:
        sample = super().finish(arrays, key, generator)
        return sample | {"middle": sample["frames"][len(sample["frames"]) // 2]}


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class ClipDataset(FramesDataset):
    """Blurred photos and frames that a ``metadata.json`` names.

    Args:
        dataroot_gt: folder (or LMDB) that its paths are relative to.
        metadata: that file; see `basicsr.data.clip_metadata`.
        partition: which of its clips; null is ``train`` in training and ``test`` otherwise.
        order: ``metadata`` reads frames according to their ``order``; ``stored`` as they are stored.
        target_frames: numbers, from 1, of the frames that are used; null is all.
        box_size: height and width that the box around each clip is resized to, for data sets with boxes; null
            uses whole frames. In training, boxes are widened at random.
    """

    metadata: ExistingFile
    partition: Partition | None = None
    order: Reading = "metadata"
    target_frames: list[Count] | None = None
    box_size: tuple[Count, Count] | None = None

    def make_fields(self) -> list[Field]:
        clips = self.clips
        reads = {} if self.order == "stored" else {clip.id: clip.order for clip in clips.values()}
        chosen = {name: self._chosen(clip, reads.get(name) == "reverse") for name, clip in clips.items()}
        tossed = frozenset(name for name, order in reads.items() if order == "random")
        frames = FramesField(self._stored, self.metadata, chosen)
        photo = replace(self._stored, name="lq")
        return [
            TossedFrames(frames, tossed, self.seed) if tossed else frames,
            ChosenField(photo, self.metadata, {name: key_of(clip.blur) for name, clip in clips.items()}),
        ]

    @cached_property
    def _stored(self) -> StoredField:
        """Photos and frames are stored together."""
        return image_field("frames", self.dataroot_gt, self.io_backend.type)

    @cached_property
    def clips(self) -> Mapping[str, Clip]:
        """The clips of the partition, by id."""
        found = read_clip_metadata(Path(self.metadata), self._stored.keys(), self.dataroot_gt)
        beyond = [number for number in self.target_frames or () if number > found.frames]
        if beyond:
            what = f"{beyond[0]} is beyond the {found.frames} frames of {self.metadata}"
            raise ValueError(f"target_frames: {what}")
        partition = self.partition or ("train" if self.train else "test")
        clips = found.of(partition)
        if not clips:
            raise UserError(f"{self.metadata}: no clip in the partition {partition}; choose another")
        if self.box_size is not None and (bare := next((clip for clip in clips if clip.box is None), None)):
            raise UserError(f"{self.metadata}: '{bare.id}' has no bbox; leave box_size out")
        return {clip.id: clip for clip in clips}

    def arrange(self, arrays: Arrays, key: str, generator: np.random.Generator) -> Arrays:
        if self.box_size is None:
            return arrays
        named = self.clips[key].box
        assert named is not None
        box = read_box(Path(self.dataroot_gt) / named)
        height, width = arrays[self.reference].shape[-2:]
        return cut_box(arrays, widened(box, height, width, generator if self.train else None), self.box_size)

    def _chosen(self, clip: Clip, is_reversed: bool) -> list[str]:
        paths = [clip.frames[number - 1] for number in self.target_frames or range(1, len(clip.frames) + 1)]
        return [key_of(path) for path in (reversed(paths) if is_reversed else paths)]


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class AveragedClipDataset(FramesDataset):
    """Sharp clips whose frames are averaged on the fly, in linear light, as GoPro and REDS were made.

    Args:
        dataroot_gt: folder (or LMDB) of sharp frames, a folder for each clip; see
            `basicsr.data.frame_windows`.
        frames: number of frames in a sample.
        gap: distance from one of them to the next. All frames between the first and the last are averaged.
        stride: distance from the first frame of a sample to that of the next; null starts after the last
            frame.
        response: exponent that converts pixel values to light.
    """

    frames: Annotated[int, msgspec.Meta(ge=2)]
    gap: Count = 1
    stride: Count | None = None
    response: Annotated[float, msgspec.Meta(gt=0)] = 2.2

    def make_fields(self) -> list[Field]:
        frame = image_field("frames", self.dataroot_gt, self.io_backend.type)
        windows = frame_windows(frame.keys(), self.frames, self.gap, self.stride)
        if not windows:
            length = (self.frames - 1) * self.gap + 1
            raise UserError(f"{self.dataroot_gt}: no clip has {length} consecutive frames; use fewer frames")
        return [FramesField(frame, self.dataroot_gt, windows)]

    def finish(self, arrays: Arrays, key: str, generator: np.random.Generator) -> dict[str, Any]:
        all_frames = arrays["frames"]
        sample = super().finish(arrays | {"frames": all_frames[:: self.gap]}, key, generator)
        field = self.field("frames")
        return sample | {"lq": self.normalize(average_light(field.finish(all_frames), self.response))}


def average_light(frames: torch.Tensor, response: float) -> torch.Tensor:
    """What a shutter open during ``frames`` (N, 3, H, W) in [0, 1] records: (3, H, W), in 8 bits."""
    blurred = (frames**response).mean(0) ** (1 / response)
    return (255 * blurred).round() / 255
