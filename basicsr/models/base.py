"""The contract between a model and the engine, and helpers for all models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from typing_extensions import Self

from basicsr.archs.base import Network, RestorationNetwork, network_class
from basicsr.config.schema import network_place
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import ARCHS

Batch = dict[str, Any]
Apply = Callable[[RestorationNetwork, tuple[Tensor, ...]], Tensor]

# of the image inputs; see `basicsr.data.fields`
_CHANNELS = {"lq": 3, "gt": 3, "mask": 1}


def run_whole(net: RestorationNetwork, inputs: tuple[Tensor, ...]) -> Tensor:
    """Run ``net`` on whole images; the simplest `Apply`. `basicsr.engine.inference` uses windows."""
    restored: Tensor = net(*inputs)
    return restored


class Model(nn.Module, ABC):
    """One training step and one prediction. The engine saves, logs, moves and wraps.

    Args:
        networks: by name; those without a trainable parameter are frozen: they stay in evaluation mode and
            are neither averaged nor saved.

    Attributes:
        network_names: names of the networks that the model uses, as in ``networks`` of an option file; ``g``
            is ``network_g``.
        further_networks: prefix of the names of any number of further networks; None if there are none.
        network_kinds: by name, the required class of a network, if it is not `RestorationNetwork`.
        predicts_with: the network that `predict` runs, whose inputs `check_inputs` checks.
        figure_names: keys of what `figures` returns.
        slow_steps: number of initial steps of a run that take longer than later ones; excluded when steps are
            timed.
        needs_losses: whether training without any loss in the option file is a mistake.
        reference: field of a batch that predictions are compared with; data sets name it.
    """

    network_names: ClassVar[tuple[str, ...]] = ("g",)
    further_networks: ClassVar[str | None] = None
    network_kinds: ClassVar[Mapping[str, type[Network]]] = {}
    predicts_with: ClassVar[str] = "g"
    figure_names: ClassVar[tuple[str, ...]] = ()
    slow_steps: int = 0
    needs_losses: ClassVar[bool] = True
    reference: str = "gt"

    def __init__(self, networks: Mapping[str, Network]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)

    def network(self, name: str) -> RestorationNetwork:
        """The restoration network of that name."""
        net = self.networks[name]
        assert isinstance(net, RestorationNetwork)
        return net

    @property
    def trained(self) -> dict[str, Network]:
        """The networks that are not frozen, which are optimized, averaged and saved."""
        nets = {name: cast(Network, net) for name, net in self.networks.items()}
        return {name: net for name, net in nets.items() if any(p.requires_grad for p in net.parameters())}

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        trained = self.trained
        for name, net in self.networks.items():
            if name not in trained:
                net.eval()
        return self

    def needs(self) -> tuple[str, ...]:
        """Fields of a batch that `predict` takes."""
        return inputs_of(self.network(self.predicts_with))

    def needs_in_training(self) -> tuple[str, ...]:
        """Fields of a batch that `training_step` takes."""
        return (*self.needs(), self.reference)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names that losses may use besides fields of the batch."""
        return self.network(self.predicts_with).stage_names

    def check(self) -> None:
        """Check the combination of options, once the networks are known.

        Raises:
            OptionError: names the option.
        """

    def own_state(self) -> dict[str, Tensor]:
        """The state that a resumed run needs besides the networks; stored in the training state."""
        return {}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo `own_state`.

        Args:
            state: empty in training states of runs that had none.
        """

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to log; the one called ``loss`` is minimized."""

    @abstractmethod
    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        """Restored images (B, C, H, W), or clips (B, T, C, H, W), in the range of the batch, not clamped."""

    def figures(self, batch: Batch, restored: Tensor) -> dict[str, Tensor]:
        """Values for metrics besides the images, by the names of `figure_names`: (B, ..) each.

        Args:
            restored: output of `predict` for the batch.
        """
        return {}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`training_step`, under the name that PyTorch's wrappers call."""
        return self.training_step(batch)


def inputs_of(net: RestorationNetwork) -> tuple[str, ...]:
    """Fields of a batch that a network takes as inputs."""
    return (*net.image_inputs, *(["labels"] if net.takes_labels else []))


def gather_inputs(net: RestorationNetwork, batch: Batch) -> tuple[Tensor, ...]:
    """Inputs of ``net``: its image inputs concatenated by channel, then label maps where it takes them."""
    image = torch.cat([batch[name] for name in net.image_inputs], dim=1)
    return (image, batch["labels"]) if net.takes_labels else (image,)


def check_inputs(model: Model, delivers: Collection[str], where: str, training: bool = False) -> None:
    """Check before the first batch that a data set delivers what a model needs.

    Raises:
        OptionError: names the block ``where`` of the option file and the data set type to use.
    """
    types = {"labels": "PairedImageGroupMaskDataset", "mask": "PairedImageMaskDataset"}
    needs = model.needs_in_training() if training else model.needs()
    missing = [name for name in needs if name not in delivers]
    if not missing:
        return
    name = missing[-1]
    if name in model.needs() or name == model.reference:
        who = type(model.networks[model.predicts_with] if name in model.needs() else model).__name__
        what = f"{who} needs '{name}', which this type does not deliver"
        hint = f"use {types.get(name, 'PairedImageDataset')}"
    else:
        what = f"a loss names '{name}', which neither this type delivers ({', '.join(delivers)})"
        what += f" nor a network returns as a stage ({', '.join(model.stage_names)})"
        hint = "use another loss, data set or network"
    raise OptionError(where, [f"{where}.type: {what}; {hint}"])


def check_kinds(model: type[Model], networks: Mapping[str, Network]) -> None:
    """Check that each network is of the class that a model requires.

    Raises:
        OptionError: names the network's block in the option file.
    """
    for name, net in networks.items():
        kind = model.network_kinds.get(name, RestorationNetwork)
        if not isinstance(net, kind):
            known = ", ".join(known for known in ARCHS.names() if issubclass(network_class(known), kind))
            what = f"{model.__name__} needs a network of class {kind.__name__}, not {type(net).__name__}"
            where = network_place(name)
            raise OptionError(where, [f"{where}.type: {what}; use one of {known}"])


def check_channels(net: RestorationNetwork, where: str) -> None:
    """Check before the first batch that a network takes as many channels as its image inputs have.

    Raises:
        OptionError: names ``where``, the block of the option file.
    """
    if (what := channel_mistake(net)) is not None:
        raise OptionError(where, [f"{where}: {what}"])


def channel_mistake(net: RestorationNetwork) -> str | None:
    """What is wrong with the input channels of a network; None if they match its inputs."""
    names, taken = net.image_inputs, net.input_channels
    given = sum(_CHANNELS.get(name, 3) for name in names)
    if taken == given:
        return None
    what = f"{type(net).__name__} takes {taken} channel(s), but its inputs ({', '.join(names)}) have {given}"
    return f"{what}; images are read as RGB, gray ones too: img_channel has to be 3, and extra_channel 0"
