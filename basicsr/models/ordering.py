"""Training of a network that tells in which direction of time a clip runs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from basicsr.archs.base import Network
from basicsr.archs.ordering import OrderingNetwork, both_scores, directions
from basicsr.models.base import Apply, Batch, Model, run_whole
from basicsr.models.terms import Terms
from basicsr.utils.registry import MODELS


@MODELS.register
class OrderingModel(Model):
    """Trains an ordering network on the mirror pairs of the frames of a clip, each in both directions.

    Losses and metrics see ``scores`` and ``swapped``, (B, T // 2) each, for the pairs as they are and
    swapped. The prediction is the clip in its canonical direction.

    Args:
        networks: ``{"g": ordering network}``.
        losses: by the name that the log shows; see `Terms`.
    """

    network_kinds = {"g": OrderingNetwork}
    figure_names = ("scores", "swapped")
    reference = "frames"

    def __init__(self, networks: Mapping[str, Network], losses: Mapping[str, nn.Module]) -> None:
        super().__init__(networks)
        self.losses = Terms(losses)

    @property
    def stage_names(self) -> tuple[str, ...]:
        return ("restored", "scores", "swapped")

    def needs(self) -> tuple[str, ...]:
        return ("frames",)

    def needs_in_training(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.needs(), *self.losses.needs(self.stage_names, self.reference)]))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        scores, swapped = both_scores(self._ordering, batch["frames"])
        stages = {"restored": batch["frames"], "scores": scores, "swapped": swapped}
        return self.losses(batch, stages, self.reference)

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        """The clips (B, T, 3, H, W), reversed if all pairs agree that they run backwards.

        Args:
            apply: unused; frames are processed as a whole.
        """
        frames: Tensor = batch["frames"]
        scores, _ = both_scores(self._ordering, frames)
        runs_backwards = (directions(scores) < 0).view(-1, 1, 1, 1, 1)
        return torch.where(runs_backwards, frames.flip(1), frames)

    def figures(self, batch: Batch, restored: Tensor) -> dict[str, Tensor]:
        scores, swapped = both_scores(self._ordering, batch["frames"])
        return {"scores": scores, "swapped": swapped}

    @property
    def _ordering(self) -> OrderingNetwork:
        net = self.networks["g"]
        assert isinstance(net, OrderingNetwork)
        return net
