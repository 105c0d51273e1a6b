"""Every network can be built without memory, so that its size is known before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from basicsr.checkpoints.described import require_size_of
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS
from tests.archs.test_archs import OPTIONS


@pytest.mark.parametrize("name", OPTIONS)
def test_every_network_is_built_on_no_device_and_fits_its_own_weights(name):
    options = OPTIONS[name]
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in ARCHS.build(name, options).state_dict().items()}
    net = ARCHS.build(name, options)
    assert {key: tensor.shape for key, tensor in net.state_dict().items()} == shapes
    require_size_of(lambda: ARCHS.build(name, options), net.state_dict(), Path("a.pth"))


def test_more_modules_than_weights_are_too_many():
    with pytest.raises(UserError, match="^a.pth: describes a network with more modules than its 1 weights"):
        require_size_of(
            lambda: nn.Sequential(*(nn.Identity() for _ in range(2000))), {"a": torch.zeros(1)}, Path("a.pth")
        )
