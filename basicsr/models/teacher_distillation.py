"""Distillation of trained networks into another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.models.base import Apply, Batch, Model, gather_inputs, inputs_of, run_whole
from basicsr.models.terms import Terms
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import LOSSES, MODELS, Nested, split_type


@MODELS.register
class TeacherDistillationModel(Model):
    """``g`` learns from the target, and from the outputs of frozen networks for the same input.

    loss = losses + weight * mean over the teachers of imitation(image of g, image of the teacher). A teacher
    may take inputs that ``g`` does not, such as label maps: SegNAFNet can teach a plain NAFNet. Predictions
    are those of ``g`` only.

    Args:
        networks: ``{"g": net, "teacher": frozen net}``, and any number of others, ``teacher_2``, ..
        losses: of the reconstruction, by the name that the log shows.
        imitation: a loss on images.
        weight: of the imitation.
    """

    network_names = ("g", "teacher")
    further_networks = "teacher_"

    def __init__(
        self,
        networks: Mapping[str, RestorationNetwork],
        losses: Mapping[str, nn.Module],
        imitation: Annotated[dict[str, Any], Nested(LOSSES)],
        weight: Annotated[float, Meta(gt=0)] = 1.0,
    ) -> None:
        super().__init__(networks)
        self.losses = Terms(losses)
        self.imitation: nn.Module = LOSSES.build(*split_type(imitation))
        self.weight = weight
        self.teachers = [name for name in networks if name != "g"]

    def check(self) -> None:
        for name in self.teachers:
            if name in self.trained:
                what = f"{type(self).__name__} does not train its teachers; set it to true"
                raise OptionError(f"networks.{name}", [f"networks.{name}.frozen: {what}"])

    def needs_in_training(self) -> tuple[str, ...]:
        inputs = [name for teacher in self.teachers for name in inputs_of(self.network(teacher))]
        losses = self.losses.needs(self.stage_names, self.reference)
        return tuple(dict.fromkeys([*self.needs(), *losses, *inputs]))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        net = self.network("g")
        stages = net.stages(*gather_inputs(net, batch))
        terms = self.losses(batch, stages, self.reference)
        imitated = {}
        for name in self.teachers:
            teacher = self.network(name)
            with torch.no_grad():
                image = teacher(*gather_inputs(teacher, batch))
            imitated[f"l_{name}"] = (
                self.weight / len(self.teachers) * self.imitation(stages["restored"], image)
            )
        loss = torch.stack([terms["loss"], *imitated.values()]).sum()
        return terms | imitated | {"loss": loss}

    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        net = self.network("g")
        return apply(net, gather_inputs(net, batch))
