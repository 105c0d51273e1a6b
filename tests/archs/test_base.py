"""The contract of networks: what its defaults say, and what is asked of each registered one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from basicsr.archs.base import (
    Network,
    RestorationNetwork,
    adopt_facts,
    build_network,
    facts_of,
    network_class,
    require_restoring,
)
from basicsr.layers.normalization import IDENTITY, Normalization
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.models.base import check_kinds
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.errors import OptionError, UserError
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
    output = adopt_facts(net, ALL, [])
    assert "mean 0.5 0.4 0.3, std 0.5 0.5 0.25" in output
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
    with pytest.raises(OptionError, match="'Stranger' of torch.* is not a Network; derive it from"):
        network_class("Stranger")


def test_a_network_that_restores_nothing_keeps_half_of_the_contract(monkeypatch):
    class Judge(Network):
        def __init__(self) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x.mean((1, 2, 3))

    monkeypatch.setitem(ARCHS._entries, "Judge", Judge)
    assert network_class("Judge") is Judge
    net = build_network({"type": "Judge"})
    assert net.block == {"type": "Judge"} and facts_of(net) == WeightsFacts()
    with pytest.raises(UserError, match=r"judge\.pth: Judge does not restore images; use the weights"):
        require_restoring(net, "judge.pth")


def test_a_model_says_which_networks_it_works_with():
    class Judge(Network):
        pass

    class Judged(ImageRestorationModel):
        network_names = ("g", "judge")
        network_kinds = {"judge": Judge}

    check_kinds(Judged, {"g": Plain(), "judge": Judge()})
    with pytest.raises(OptionError, match=r"networks\.judge\.type: Judged needs .* Judge, not Plain"):
        check_kinds(Judged, {"g": Plain(), "judge": Plain()})
    with pytest.raises(OptionError, match=r"network_g\.type: .*class RestorationNetwork, not Judge.*NAFNet"):
        check_kinds(Judged, {"g": Judge(), "judge": Judge()})
