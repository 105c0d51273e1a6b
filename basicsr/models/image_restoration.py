"""Degraded image in, clean image (or clip) out: one network and a weighted sum of losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.models.base import Apply, Batch, Model, gather_inputs, run_whole
from basicsr.models.terms import Terms
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import MODELS

# Beta(a, a) of mixup (arXiv 1710.09412); 1.2 leans towards even mixtures.
_MIXUP_ALPHA = 1.2


@MODELS.register
class ImageRestorationModel(Model):
    """One network, a weighted sum of losses.

    Args:
        networks: ``{"g": net}``.
        losses: by the name that the log shows; see `Terms`.
        mixup: blend each sample with another one of the batch, lambda ~ Beta(1.2, 1.2).
    """

    def __init__(
        self,
        networks: Mapping[str, RestorationNetwork],
        losses: Mapping[str, nn.Module],
        mixup: bool = False,
    ) -> None:
        super().__init__(networks)
        self.losses = Terms(losses)
        self.mixup = mixup

    def check(self) -> None:
        net = self.network("g")
        if self.mixup and net.takes_labels:
            what = f"two images cannot share the label map that {type(net).__name__} takes"
            raise OptionError("train.mixup", [f"train.mixup: {what}; set it to false"])

    def needs_in_training(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.needs(), *self.losses.needs(self.network("g"), self.reference)]))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        if self.mixup:
            batch = self._mix(batch)
        net = self.network("g")
        return self.losses(batch, net.stages(*gather_inputs(net, batch)), self.reference)

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        net = self.network("g")
        return apply(net, gather_inputs(net, batch))

    def _mix(self, batch: Batch) -> Batch:
        share = torch.distributions.Beta(_MIXUP_ALPHA, _MIXUP_ALPHA).sample().item()
        order = torch.randperm(len(batch[self.reference]))
        names = [name for name in ("lq", self.reference, "mask") if name in batch]
        return batch | {name: share * batch[name] + (1 - share) * batch[name][order] for name in names}
