"""A system of its own: two networks in a row, a frozen third that judges; the first is used alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.models.base import Apply, Batch, Model, gather_inputs, run_whole
from basicsr.models.terms import Terms
from basicsr.utils.registry import MODELS


@MODELS.register
class CascadeModel(Model):
    """``g`` restores, ``second`` restores what ``g`` gives, and both should look alike to ``judge``.

    Args:
        networks: ``{"g": net, "second": net, "judge": frozen net}``.
        losses: of either network.
        share: of the difference that ``judge`` sees.
    """

    network_names = ("g", "second", "judge")

    def __init__(
        self,
        networks: Mapping[str, RestorationNetwork],
        losses: Mapping[str, nn.Module],
        share: float = 0.5,
    ) -> None:
        super().__init__(networks)
        self.losses = Terms(losses)
        self.share = share

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        first = self.network("g").stages(*gather_inputs(self.network("g"), batch))
        second = self.network("second").stages(first["restored"])
        terms = [self.losses(batch, stages, self.reference)["loss"] for stages in (first, second)]
        judge = self.network("judge")
        seen = (judge(first["restored"]) - judge(second["restored"]).detach()).square().mean()
        return {
            "loss": sum(terms) + self.share * seen,
            "l_first": terms[0],
            "l_second": terms[1],
            "l_seen": seen,
        }

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        net = self.network("g")
        return apply(net, gather_inputs(net, batch))
