"""Distillation of a segmenter's knowledge of images into a network that runs without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.archs.wrapper import Wrapper
from basicsr.layers.normalization import IDENTITY
from basicsr.masks import Overlap
from basicsr.models.base import Apply, Batch, Model, gather_inputs, inputs_of, run_whole
from basicsr.models.terms import Terms
from basicsr.segmenters.base import Segmenter, as_seen
from basicsr.utils.convert import Count
from basicsr.utils.dist import mean_over_processes
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import LOSSES, MODELS, SEGMENTERS, Nested, split_type

Weighting = Literal["probe", "paper", "swapped"]
# (SPD, SGR); text and Table 6 of the paper fit the first pair best, see docs/distillation.md.
_WEIGHTS: dict[Weighting, tuple[float, float]] = {"paper": (0.005, 200.0), "swapped": (200.0, 0.005)}


@MODELS.register
class SemanticDistillationModel(Model):
    """``g`` restores; ``second`` gets its image and region masks, refines the image, and teaches ``g``.

    "Distilling Semantic Priors from SAM to Efficient Image Restoration Models" (CVPR 2024, arXiv 2403.16368):
    L_g = losses + lambda_spd SPD + lambda_sgr SGR, L_second = losses (equation 8). SPD compares the image of
    ``g`` with that of ``second``, SGR how regions differ in both; neither reaches ``second``. Predictions are
    those of ``g`` only.

    Args:
        networks: ``{"g": net, "second": net}``; ``second`` is usually `basicsr.archs.with_spf.WithSPF`.
        losses: of the reconstruction, by the name that the log shows.
        spd: a loss on images; null is none.
        sgr: a loss on images and their label maps; null is none.
        weighting: ``paper`` weights SPD by 0.005 and SGR by 200, ``swapped`` the other way around. ``probe``
            measures the gradients in the first ``probe_steps`` steps, and weights the two so that each is
            ``probe_ratio`` times that of the reconstruction; then the weights are fixed.
        lambda_spd, lambda_sgr: explicit weights; null leaves them to ``weighting``.
        probe_ratio: see ``weighting``.
        probe_steps: see ``weighting``.
        detach_cascade: the losses of ``second`` do not reach ``g`` through its image; saves memory.
        share_weights: ``second``, or the network that it wraps, shares the parameters of ``g``, trained by
            the losses of both. Its SPF units and its running means are not shared.
        segmenter: makes the masks of each batch from the image of ``g``; null uses the label maps of the data
            set.
        overlap: rule for overlaps of the masks of ``segmenter``, see `basicsr.masks.from_stack`.
        second_losses: of the reconstruction of ``second``, if they differ from ``losses``.
    """

    network_names = ("g", "second")
    _norms: Tensor

    def __init__(
        self,
        networks: Mapping[str, RestorationNetwork],
        losses: Mapping[str, nn.Module],
        spd: Annotated[dict[str, Any], Nested(LOSSES)] | None = None,
        sgr: Annotated[dict[str, Any], Nested(LOSSES)] | None = None,
        weighting: Weighting = "probe",
        lambda_spd: Annotated[float, Meta(ge=0)] | None = None,
        lambda_sgr: Annotated[float, Meta(ge=0)] | None = None,
        probe_ratio: Annotated[float, Meta(gt=0)] = 0.25,
        probe_steps: Count = 20,
        detach_cascade: bool = False,
        share_weights: bool = False,
        segmenter: Annotated[dict[str, Any], Nested(SEGMENTERS)] | None = None,
        overlap: Overlap = "exact",
        second_losses: dict[str, Annotated[dict[str, Any], Nested(LOSSES)]] | None = None,
    ) -> None:
        super().__init__(networks)
        if share_weights:
            second_net = networks["second"]
            _share(networks["g"], second_net.net if isinstance(second_net, Wrapper) else second_net)
        self.losses = Terms(losses)
        own = second_losses or {}
        second = {name: LOSSES.build(*split_type(block)) for name, block in own.items()}
        self.second_losses = Terms(second) if second else self.losses
        terms = {"l_spd": spd, "l_sgr": sgr}
        self.priors = nn.ModuleDict(
            {name: LOSSES.build(*split_type(block)) for name, block in terms.items() if block is not None}
        )
        given = dict(zip(terms, (lambda_spd, lambda_sgr), strict=True))
        preset = dict(zip(terms, _WEIGHTS.get(weighting, (None, None)), strict=True))
        self._weights = {name: preset[name] if given[name] is None else given[name] for name in self.priors}
        self.slow_steps = probe_steps if None in self._weights.values() else 0
        self.probe_ratio = probe_ratio
        self.probe_steps = probe_steps
        self.detach_cascade = detach_cascade
        self.overlap: Overlap = overlap
        self._segmenter: Segmenter | None = None
        if segmenter is not None:
            self._segmenter = SEGMENTERS.build(*split_type(segmenter))
        # Gradient norms of the reconstruction and of each prior, summed over the steps of the probe, and
        # their number.
        self.register_buffer("_norms", torch.zeros(2 + len(self.priors)))
        self._probe_is_over = False

    def check(self) -> None:
        second = self.network("second")
        if self._segmenter is not None and not self._needs_labels:
            what = (
                f"no part of the model takes masks: {type(second).__name__} takes none, and there is no SGR"
            )
            raise OptionError("model_opt.segmenter", [f"model_opt.segmenter: {what}; remove it"])

    @property
    def _needs_labels(self) -> bool:
        return self.network("second").takes_labels or "l_sgr" in self.priors

    def needs_in_training(self) -> tuple[str, ...]:
        nets = [self.network(name) for name in self.network_names]
        needs = [name for net in nets for name in inputs_of(net) if name != "labels"]
        for net, losses in zip(nets, (self.losses, self.second_losses), strict=False):
            needs += losses.needs(net.stage_names, self.reference)
        labels = ["labels"] if self._needs_labels and self._segmenter is None else []
        return tuple(dict.fromkeys([*self.needs(), *needs, *labels]))

    def own_state(self) -> dict[str, Tensor]:
        return {"norms": self._norms.cpu()}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        if "norms" in state:
            self._norms.copy_(state["norms"])
            self._probe_is_over = False

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        net, second = self.network("g"), self.network("second")
        first = net.stages(*gather_inputs(net, batch))
        image = first["restored"]
        if self._segmenter is not None:
            batch = batch | {"labels": self._segmented(image)}
        seen = image.detach() if self.detach_cascade else image
        taught = second.stages(*gather_inputs(second, batch | {"lq": seen}))
        terms = self.losses(batch, first, self.reference)
        others = self.second_losses(batch, taught, self.reference)
        priors = self._compared(image, taught["restored"].detach(), batch)
        weights = self._weigh(terms["loss"], priors)
        weighted = {name: weights[name] * value for name, value in priors.items()}
        loss = torch.stack([terms["loss"], others["loss"], *weighted.values()]).sum()
        logged = {name: value for name, value in terms.items() if name != "loss"}
        logged |= {f"second_{name}": value for name, value in others.items() if name != "loss"}
        logged |= weighted
        logged |= {f"{name}_weight": weights[name] for name in priors}
        return {"loss": loss, **{name: value.detach() for name, value in logged.items()}}

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        net = self.network("g")
        return apply(net, gather_inputs(net, batch))

    def _compared(self, image: Tensor, goal: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The unweighted priors."""
        values = {}
        if "l_spd" in self.priors:
            values["l_spd"] = self.priors["l_spd"](image, goal)
        if "l_sgr" in self.priors:
            rgb = (self.network("g").normalization or IDENTITY).undo
            values["l_sgr"] = self.priors["l_sgr"](rgb(image), rgb(goal), batch["labels"])
        return values

    def _weigh(self, reconstruction: Tensor, priors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weight of each prior."""
        open_ones = [name for name in priors if self._weights[name] is None]
        if open_ones and not self._is_probed():
            self._probe([reconstruction, *priors.values()])
        weights = {}
        for number, name in enumerate(priors, 1):
            fixed, own = self._weights[name], self._norms[number]
            ratio = self.probe_ratio * self._norms[0] / own.clamp(min=torch.finfo(own.dtype).tiny)
            measured = torch.where(own > 0, ratio, torch.zeros_like(ratio)).float()
            weights[name] = measured if fixed is None else torch.full_like(measured, fixed)
        return weights

    def _is_probed(self) -> bool:
        # A discarded pass is undone together with the buffer, so only the state before a step is reliable.
        self._probe_is_over = self._probe_is_over or int(self._norms[-1]) >= self.probe_steps
        return self._probe_is_over

    def _probe(self, losses: Sequence[Tensor]) -> None:
        """Add the norms of the gradients of ``losses`` with respect to the weights of ``g``, if all finite.

        The gradients are those of the whole batch, over all processes.
        """
        parameters = [item for item in self.network("g").parameters() if item.requires_grad]
        norms = []
        for loss in losses:
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
            norms.append(torch.cat([mean_over_processes(item).flatten() for item in gradients]).norm())
        found = torch.stack(norms).to(self._norms)
        if found.isfinite().all():
            self._norms += torch.cat([found, found.new_ones(1)])

    def _segmented(self, image: Tensor) -> Tensor:
        """Label maps (B, H, W) of images returned by ``g``."""
        assert self._segmenter is not None
        rgb = (self.network("g").normalization or IDENTITY).undo(image.detach().float())
        photos = (rgb.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        labels = [self._segmenter.labels(as_seen(photo, self.overlap), self.overlap) for photo in photos]
        return torch.from_numpy(np.stack(labels)).to(image.device)


def _share(net: nn.Module, other: nn.Module) -> None:
    """Replace the parameters of ``other`` with those of ``net``.

    Raises:
        ValueError: if they differ in names or shapes, or in whether they are trained.
    """
    given, replaced = dict(net.named_parameters()), dict(other.named_parameters())
    for name in sorted(given.keys() | replaced.keys()):
        if name not in given or name not in replaced or given[name].shape != replaced[name].shape:
            what = f"network_g and the network in networks.second differ in {name}"
            raise ValueError(f"share_weights: {what}; give both the same type and options")
        if given[name].requires_grad != replaced[name].requires_grad:
            raise ValueError("share_weights: one of the two networks is frozen; set frozen of both to false")
    for name, parameter in given.items():
        place, _, last = name.rpartition(".")
        setattr(other.get_submodule(place), last, parameter)
