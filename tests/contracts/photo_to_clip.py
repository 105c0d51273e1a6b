"""A system of its own: a photo becomes a clip of three frames, in either order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.data.fields import Field, FramesField, image_field
from basicsr.data.paired import ImageDataset
from basicsr.metrics.base import metric
from basicsr.utils.convert import ExistingFile, ExistingFolder
from basicsr.utils.registry import ARCHS, DATASETS, LOSSES

FRAMES = 3


@ARCHS.register
class PhotoToClip(RestorationNetwork):
    """Each frame is the photo and something added to it.

    Args:
        width: channels inside.
    """

    gives = "clip"

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3 * FRAMES, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1) + self.body(x).unflatten(1, (FRAMES, 3))


@DATASETS.register
@dataclass(kw_only=True, eq=False)
class PhotoClips(ImageDataset):
    """Blurred photos and the frames that a file chooses for each.

    Args:
        dataroot_lq: folder of the photos.
        metadata: JSON, ``{photo: [frame, frame, frame]}``; frames lie below ``dataroot_gt``.
    """

    reference = "frames"

    dataroot_lq: ExistingFolder
    metadata: ExistingFile

    def make_fields(self) -> list[Field]:
        backend = self.io_backend.type
        frame = image_field("frames", self.dataroot_gt, backend)
        chosen = json.loads(Path(self.metadata).read_text())
        return [FramesField(frame, self.metadata, chosen), image_field("lq", self.dataroot_lq, backend)]


@LOSSES.register
class EitherOrder(nn.Module):
    """Absolute difference in the order that fits better."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, restored: Tensor, frames: Tensor) -> Tensor:
        there, back = ((restored - order).abs().mean((1, 2, 3, 4)) for order in (frames, frames.flip(1)))
        return there.minimum(back).mean()


@metric("clip error", better="lower", per="clip")
def clip_error(restored: np.ndarray, frames: np.ndarray) -> float:
    """Mean absolute difference in gray values, in the order that fits better."""
    clip = restored.astype(np.float64)
    return float(min(np.abs(clip - order).mean() for order in (frames, frames[::-1])))
