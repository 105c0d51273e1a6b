"""Degraded image in, clean image (or clip) out: one network and a weighted sum of losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.archs.base import Network
from basicsr.models.base import Apply, Batch, Model, gather_inputs, run_whole
from basicsr.models.terms import Terms
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import MODELS

# Beta(a, a) of mixup (arXiv 1710.09412); 1.2 favors even mixtures.
_MIXUP_ALPHA = 1.2


@MODELS.register
class ImageRestorationModel(Model):
    """One network and a weighted sum of losses.

    Args:
        networks: ``{"g": net}``.
        losses: by the name that the log shows; see `Terms`.
        mixup: blend each sample with another one of the batch, lambda ~ Beta(1.2, 1.2).
        input_noise: standard deviation of Gaussian noise added to ``lq`` in training, in the units of ``lq``:
            those of [0, 1], unless the data set has ``mean`` and ``std``. Values may leave that range.
        input_noise_varies: multiply the standard deviation by |N(0, 1)| for each sample.
    """

    def __init__(
        self,
        networks: Mapping[str, Network],
        losses: Mapping[str, nn.Module],
        mixup: bool = False,
        input_noise: Annotated[float, Meta(ge=0)] = 0.0,
        input_noise_varies: bool = False,
    ) -> None:
        super().__init__(networks)
        self.losses = Terms(losses)
        self.mixup = mixup
        self.input_noise = input_noise
        self.input_noise_varies = input_noise_varies

    def check(self) -> None:
        net = self.network("g")
        if self.mixup and net.takes_labels:
            what = f"two images cannot share the label map that {type(net).__name__} takes"
            raise OptionError("train.mixup", [f"train.mixup: {what}; set it to false"])

    def needs_in_training(self) -> tuple[str, ...]:
        named = self.losses.needs(self.stage_names, self.reference)
        return tuple(dict.fromkeys([*self.needs(), *named]))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        if self.mixup:
            batch = self._mix(batch)
        if self.input_noise > 0:
            batch = batch | {"lq": self._noisy(batch["lq"])}
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

    def _noisy(self, lq: Tensor) -> Tensor:
        sigma = torch.full((len(lq), *[1] * (lq.ndim - 1)), self.input_noise, device=lq.device)
        if self.input_noise_varies:
            sigma = sigma * torch.randn_like(sigma).abs()
        return lq + sigma * torch.randn_like(lq)
