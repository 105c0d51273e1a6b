"""A clip network beside a frozen ordering network: who is trained, what losses and metrics see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.archs.ordering import OrderingNetwork
from basicsr.layers.normalization import Normalization
from basicsr.losses import ClipCharbonnierLoss, HyperCUTLoss
from basicsr.models.clip_restoration import ClipRestorationModel
from basicsr.utils.errors import OptionError


class Fade(RestorationNetwork):
    """The photo, frame by frame brighter or darker."""

    gives = "clip"

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1) + self.slope * torch.linspace(-1, 1, 5).view(1, 5, 1, 1, 1)


class Brighter(OrderingNetwork):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x[:, :3].mean((1, 2, 3)) - x[:, 3:].mean((1, 2, 3)))


@pytest.fixture
def model() -> ClipRestorationModel:
    ordering = Brighter().requires_grad_(False)
    losses = {"l_naive": ClipCharbonnierLoss(), "l_hypercut": HyperCUTLoss(1.0)}
    made = ClipRestorationModel({"g": Fade(), "ordering": ordering}, losses)
    made.check()
    made.reference = "frames"
    return made.train()


def batch() -> dict[str, Tensor]:
    return {"lq": torch.full((2, 3, 8, 8), 0.5), "frames": torch.full((2, 5, 3, 8, 8), 0.5)}


def test_only_the_clip_network_is_trained_and_the_other_stays_as_it_is(model):
    assert list(model.trained) == ["g"]
    assert model.networks["g"].training and not model.networks["ordering"].training
    model.training_step(batch())["loss"].backward()
    assert model.network("g").slope.grad is not None
    assert model.networks["ordering"].weight.grad is None


def test_the_gradient_of_the_side_reaches_the_frames(model):
    """This network gets brighter, so the first frame is darker: the wrong side. A step has to lower that."""
    losses = model.training_step(batch())
    assert losses.keys() == {"loss", "l_naive", "l_hypercut"}
    losses["l_hypercut"].backward()
    assert model.network("g").slope.grad > 0


def test_losses_know_scores_as_a_stage(model):
    assert model.stage_names == ("restored", "scores")
    assert model.needs_in_training() == ("lq", "frames")


def test_metrics_see_the_scores_of_predictions(model):
    with torch.no_grad():
        restored = model.predict(batch())
        figures = model.figures(batch(), restored)
    torch.testing.assert_close(figures["scores"], torch.tensor([[-0.2, -0.1]] * 2))
    torch.testing.assert_close(figures["swapped"], -figures["scores"])


def test_frames_reach_the_ordering_network_as_it_was_trained(model):
    model.network("g").normalization = Normalization((0.5,) * 3, (0.25,) * 3)
    model.networks["ordering"].normalization = Normalization((0.0,) * 3, (0.5,) * 3)
    restored = model.predict(batch())
    scores = model.figures(batch(), restored)["scores"]
    torch.testing.assert_close(scores, torch.tensor([[-0.2, -0.1]] * 2) * 0.25 / 0.5)


def test_other_networks_and_a_trained_judge_are_refused():
    frozen = Brighter().requires_grad_(False)
    with pytest.raises(OptionError, match="network_g.type: RestorationNetwork returns images"):
        ClipRestorationModel({"g": RestorationNetwork(), "ordering": frozen}, {}).check()
    with pytest.raises(OptionError, match=r"networks\.ordering\.frozen: must be true"):
        ClipRestorationModel({"g": Fade(), "ordering": Brighter()}, {}).check()
