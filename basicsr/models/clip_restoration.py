"""Photo in, clip out, while a frozen ordering network judges the direction of the frames."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from basicsr.archs.base import Network
from basicsr.archs.ordering import OrderingNetwork, both_scores, mirror_scores
from basicsr.layers.normalization import IDENTITY
from basicsr.models.base import Batch, gather_inputs
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import MODELS


@MODELS.register
class ClipRestorationModel(ImageRestorationModel):
    """`ImageRestorationModel` for networks that return clips, with an additional network ``ordering``.

    Losses also see ``scores`` (B, T // 2), its scores for the mirror pairs of the predicted frames; metrics
    see ``scores`` and ``swapped``, the scores of the swapped pairs. Training without such losses needs no
    ordering network and can use `ImageRestorationModel`.

    Args:
        networks: ``{"g": net, "ordering": frozen ordering network}``.
        losses: by the name that the log shows; see `basicsr.models.terms.Terms`.
    """

    network_names = ("g", "ordering")
    network_kinds = {"ordering": OrderingNetwork}
    figure_names = ("scores", "swapped")

    def __init__(self, networks: Mapping[str, Network], losses: Mapping[str, nn.Module]) -> None:
        super().__init__(networks, losses)

    def check(self) -> None:
        if self.network("g").gives != "clip":
            what = f"{type(self.network('g')).__name__} returns images, {type(self).__name__} needs clips"
            raise OptionError("network_g.type", [f"network_g.type: {what}; use Jin or Purohit"])
        if "ordering" in self.trained:
            raise OptionError("networks.ordering.frozen", ["networks.ordering.frozen: must be true"])

    @property
    def stage_names(self) -> tuple[str, ...]:
        return (*super().stage_names, "scores")

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        net = self.network("g")
        stages = net.stages(*gather_inputs(net, batch))
        scores = mirror_scores(self._ordering, self._as_it_takes_them(stages["restored"]))
        return self.losses(batch, {**stages, "scores": scores}, self.reference)

    def figures(self, batch: Batch, restored: Tensor) -> dict[str, Tensor]:
        scores, swapped = both_scores(self._ordering, self._as_it_takes_them(restored))
        return {"scores": scores, "swapped": swapped}

    def _as_it_takes_them(self, frames: Tensor) -> Tensor:
        """Convert frames from the normalization of ``g`` to that of ``ordering``."""
        given = self.network("g").normalization or IDENTITY
        taken = self._ordering.normalization or IDENTITY
        return frames if given == taken else taken.apply(given.undo(frames))

    @property
    def _ordering(self) -> OrderingNetwork:
        net = self.networks["ordering"]
        assert isinstance(net, OrderingNetwork)
        return net
