"""One direction of time for the clips of a video's frames, each of which may run either way."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from basicsr.archs.ordering import OrderingNetwork, directions, mirror_scores
from basicsr.layers.normalization import IDENTITY
from basicsr.utils.image import Array, to_chw, to_tensor

_SIDE = 160  # longest side of what is compared


class Continuity:
    """Reverses clips so that each continues where the last one ended.

    An ordering network decides where all its mirror pairs agree. Else, and without one, the end of the last
    clip is compared with both ends of this one; the first is compared with the second.

    Args:
        ordering: on its device; None only matches neighbors.
    """

    def __init__(self, ordering: OrderingNetwork | None = None) -> None:
        self._ordering = ordering
        self._end: NDArray[np.float32] | None = None
        self._turns_first = False
        self._turned = 0

    def begin(self, clips: Sequence[Array]) -> None:
        """Look at the first two clips (T, H, W, 3) of a video before `turned` gets them."""
        if len(clips) < 2:
            return
        first, second = ([_small(clip[0]), _small(clip[-1])] for clip in clips[:2])
        there = min(_distance(first[1], end) for end in second)
        back = min(_distance(first[0], end) for end in second)
        self._turns_first = back < there

    def turned(self, clip: Array) -> Array:
        """The next clip (T, H, W, 3), turned round where that is better."""
        if self._runs_backwards(clip):
            clip = clip[::-1]
            self._turned += 1
        self._end = _small(clip[-1])
        return clip

    @property
    def summary(self) -> str:
        """What was done, for notes."""
        how = "neighbors matched" if self._ordering is None else "ordered by the network"
        return f"{self._turned} turned round, {how}"

    def _runs_backwards(self, clip: Array) -> bool:
        direction = 0 if self._ordering is None else _direction(self._ordering, clip)
        if direction:
            return direction < 0
        if self._end is None:
            return self._turns_first
        return _distance(self._end, _small(clip[-1])) < _distance(self._end, _small(clip[0]))


def _direction(net: OrderingNetwork, clip: Array) -> int:
    frames = torch.stack([to_tensor(to_chw(frame)) for frame in clip])
    device = next(net.parameters()).device
    with torch.inference_mode():
        scores = mirror_scores(net, (net.normalization or IDENTITY).apply(frames)[None].to(device))
    return int(directions(scores)[0])


def _small(frame: Array) -> NDArray[np.float32]:
    scale = min(_SIDE / max(frame.shape[:2]), 1)
    size = [max(round(side * scale), 1) for side in frame.shape[1::-1]]
    return cv2.resize(frame.astype(np.float32), size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.square(one - other).mean())
