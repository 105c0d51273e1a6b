"""Degraded image in, clean image out: one network trained with pixel and perceptual losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from basicsr.models.base import Apply, Batch, Model, gather_inputs, run_whole
from basicsr.utils.registry import MODELS

# Beta(a, a) of mixup (arXiv 1710.09412); 1.2 leans towards even mixtures.
_MIXUP_ALPHA = 1.2


@MODELS.register
class ImageRestorationModel(Model):
    """One network, a weighted sum of losses.

    Args:
        networks: ``{"g": net}``.
        losses: by the name that the log shows; each is called with (restored, gt) and returns a weighted
            scalar.
        mixup: blend each sample with another one of the batch, lambda ~ Beta(1.2, 1.2).
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], losses: Mapping[str, nn.Module], mixup: bool = False
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.losses = nn.ModuleDict(losses)
        self.mixup = mixup

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        if self.mixup:
            batch = _mix(batch)
        net = self.networks["g"]
        restored = net(*gather_inputs(net, batch))
        terms = {name: loss(restored, batch["gt"]) for name, loss in self.losses.items()}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        net = self.networks["g"]
        return apply(net, gather_inputs(net, batch))


def _mix(batch: Batch) -> Batch:
    share = torch.distributions.Beta(_MIXUP_ALPHA, _MIXUP_ALPHA).sample().item()
    order = torch.randperm(len(batch["gt"]))
    names = [name for name in ("lq", "gt", "mask") if name in batch]
    return batch | {name: share * batch[name] + (1 - share) * batch[name][order] for name in names}
