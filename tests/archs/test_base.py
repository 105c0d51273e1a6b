"""The contract of networks: what its defaults say, and what is asked of each registered one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork, adopt_facts, facts_of, network_class
from basicsr.layers.normalization import IDENTITY, Normalization
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import ARCHS

ALL = WeightsFacts(
    padding="zeros", mask_value=1 / 255, normalization=Normalization((0.5, 0.4, 0.3), (0.5, 0.5, 0.25))
)


class Plain(RestorationNetwork):
    """What a user writes at least."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_any_network_carries_the_normalization():
    """Also one that knows nothing of facts, such as a user's own."""
    net = Plain()
    assert facts_of(net) == WeightsFacts()
    said = adopt_facts(net, ALL, [])
    assert "mean 0.5 0.4 0.3, std 0.5 0.5 0.25" in said
    assert facts_of(net) == WeightsFacts(normalization=ALL.normalization)
    assert adopt_facts(net, WeightsFacts(normalization=IDENTITY), []) == ""
    adopt_facts(net, None, [])
    assert facts_of(net) == WeightsFacts()


def test_the_stage_of_a_plain_network_is_its_image():
    x = torch.rand(1, 3, 4, 5)
    assert {name: value.tolist() for name, value in Plain().stages(x).items()} == {
        "restored": (2 * x).tolist()
    }


def test_a_class_without_the_contract_is_named(monkeypatch):
    monkeypatch.setitem(ARCHS._entries, "Stranger", torch.nn.Identity)
    with pytest.raises(OptionError, match="'Stranger' of torch.* is no RestorationNetwork; derive it from"):
        network_class("Stranger")
