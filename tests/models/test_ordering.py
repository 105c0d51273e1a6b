"""Training and testing of an ordering network: what losses and metrics see, and what is predicted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.archs.ordering import OrderingNetwork, both_scores
from basicsr.losses import OrderingLoss
from basicsr.models.base import check_inputs, check_kinds
from basicsr.models.ordering import OrderingModel
from basicsr.utils.errors import OptionError


class Brighter(OrderingNetwork):
    """How much brighter the first frame of a pair is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x[:, :3].mean((1, 2, 3)) - x[:, 3:].mean((1, 2, 3)))


def batch() -> dict[str, Tensor]:
    """Clips that get darker, brighter, and both."""
    light = torch.tensor([[5.0, 4, 3, 2, 1], [1, 2, 3, 4, 5], [5, 1, 3, 4, 2]])
    return {"frames": light.view(3, 5, 1, 1, 1).expand(3, 5, 3, 8, 8), "key": ["a", "b", "c"]}


def model() -> OrderingModel:
    return OrderingModel({"g": Brighter()}, {"l_order": OrderingLoss()})


def test_the_loss_sees_both_directions_of_every_pair():
    losses = model().training_step(batch())
    expected = OrderingLoss()(*both_scores(Brighter(), batch()["frames"]))
    assert losses.keys() == {"loss", "l_order"}
    torch.testing.assert_close(losses["loss"], expected)


def test_clips_are_turned_round_where_all_pairs_agree():
    frames = batch()["frames"]
    with torch.no_grad():
        predicted = model().predict(batch())
    assert torch.equal(predicted[0], frames[0]) and torch.equal(predicted[2], frames[2])
    assert torch.equal(predicted[1], frames[1].flip(0))


def test_metrics_see_the_scores_of_the_stored_order():
    with torch.no_grad():
        figures = model().figures(batch(), torch.empty(0))
    assert tuple(figures) == OrderingModel.figure_names
    assert figures["scores"].tolist() == [[4, 2], [-4, -2], [3, -3]]
    assert torch.equal(figures["swapped"], -figures["scores"])


def test_it_needs_frames_alone_and_an_ordering_network():
    ordering = model()
    check_inputs(ordering, ("frames", "lq", "middle"), "datasets.train", training=True)
    with pytest.raises(OptionError, match=r"datasets\.train\.type: Brighter needs 'frames'"):
        check_inputs(ordering, ("lq", "gt"), "datasets.train", training=True)
    with pytest.raises(OptionError, match="class OrderingNetwork, not RestorationNetwork"):
        check_kinds(OrderingModel, {"g": RestorationNetwork()})
