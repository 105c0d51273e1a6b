"""Clips are turned round so that each goes on where the last one ended."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from basicsr.archs.ordering import OrderingNetwork
from basicsr.restoration.continuity import Continuity


def clips(count: int = 5, frames: int = 3) -> list[np.ndarray]:
    """A light that grows steadily, cut into clips."""
    light = np.arange(count * frames, dtype=np.uint8).reshape(count, frames)
    return [(10 * part)[:, None, None, None] * np.ones((frames, 6, 8, 3), np.uint8) for part in light]


class Rising(OrderingNetwork):
    """Sure of its case only where the clip is dark."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        first, last = x[:, :3].mean((1, 2, 3)), x[:, 3:].mean((1, 2, 3))
        signs = torch.where(torch.arange(len(x)) % 2 == 0, 1.0, -1.0)
        return torch.where(last + first > 1, signs, last - first)


@pytest.mark.parametrize("turned", [(), (0,), (1,), (0, 2, 3), (0, 1, 2, 3, 4)])
def test_whatever_direction_the_clips_come_in_one_light_grows_or_falls(turned: tuple[int, ...]):
    given = [clip[::-1] if number in turned else clip for number, clip in enumerate(clips())]
    continuity = Continuity()
    continuity.begin(given[:2])
    light = np.concatenate([continuity.turned(clip)[:, 0, 0, 0] for clip in given]).astype(int)
    assert (np.diff(light) > 0).all(), light
    assert continuity.summary == f"{len(turned)} turned round, neighbors matched"


def test_a_single_clip_stays_as_it_is():
    continuity = Continuity()
    continuity.begin(clips()[:1])
    assert np.array_equal(continuity.turned(clips()[0]), clips()[0])


def test_the_network_decides_where_its_pairs_agree():
    falling = [clip[::-1] for clip in clips(4, 4)][::-1]
    by_network = Continuity(Rising())
    by_network.begin(falling[:2])
    light = [by_network.turned(clip)[:, 0, 0, 0].astype(int) for clip in falling]
    assert (np.diff(light[-1]) > 0).all(), "dark clips rise, whatever their neighbors do"
    assert (np.diff(light[0]) < 0).all(), "of bright ones it is not sure: neighbors match"
