"""The size of every network is counted before it is built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from basicsr.checkpoints import described
from basicsr.checkpoints.described import require_size_of
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS
from tests.archs.test_archs import OPTIONS, WITH_WEIGHTS


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_every_network_fits_its_own_weights_and_not_fewer(monkeypatch, name):
    def build() -> nn.Module:
        return ARCHS.build(name, OPTIONS[name])

    state = build().state_dict()
    require_size_of(build, state, Path("a.pth"))
    monkeypatch.setattr(described, "_MORE_TENSORS", len(state) - 1)
    with pytest.raises(UserError, match="^a.pth: describes a network with more tensors than its 0 weights"):
        require_size_of(build, {}, Path("a.pth"))


def test_more_modules_than_weights_are_too_many():
    with pytest.raises(UserError, match="^a.pth: describes a network with more modules than its 1 weights"):
        require_size_of(
            lambda: nn.Sequential(*(nn.Identity() for _ in range(2000))), {"a": torch.zeros(1)}, Path("a.pth")
        )
