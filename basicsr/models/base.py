"""The contract between a model and the engine, and what every model does with a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from basicsr.utils.errors import OptionError

Batch = dict[str, Any]
Apply = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]

# of the image inputs; see `basicsr.data.fields`
_CHANNELS = {"lq": 3, "gt": 3, "mask": 1}
_SMALL = 16


def run_whole(net: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """Run ``net`` on whole images; the simplest `Apply`. `basicsr.engine.inference` cuts windows."""
    return net(*inputs)


class Model(nn.Module, ABC):
    """One training step and one prediction. Saving, logging, moving and wrapping is for the engine.

    ``networks`` holds what is trained, averaged and exported; losses with parameters of their own stay
    outside of it.
    """

    networks: nn.ModuleDict

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to log; the one called ``loss`` is minimised."""

    @abstractmethod
    def predict(self, batch: Batch, apply: Apply = run_whole) -> Tensor:
        """Restored images (B, C, H, W) in the range of the batch, not clamped."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`training_step`, under the name that PyTorch's wrappers call."""
        return self.training_step(batch)


def gather_inputs(net: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
    """What ``net`` eats: its image inputs concatenated by channel, then label maps where it takes them."""
    image = torch.cat([batch[name] for name in net.image_inputs], dim=1)  # type: ignore[union-attr]
    return (image, batch["labels"]) if net.takes_labels else (image,)


def check_inputs(net: nn.Module, delivers: Iterable[str], where: str) -> None:
    """Check before the first batch that a data set delivers what a network eats.

    Raises:
        OptionError: naming the block ``where`` of the option file and the data set type to use.
    """
    eats = [*net.image_inputs, *(["labels"] if net.takes_labels else [])]  # type: ignore[misc]
    types = {"labels": "PairedImageGroupMaskDataset", "mask": "PairedImageMaskDataset"}
    missing = [name for name in eats if name not in delivers]
    if missing:
        kind = types.get(missing[-1], "PairedImageDataset")
        what = f"{type(net).__name__} needs '{missing[-1]}', which this type does not deliver; use {kind}"
        raise OptionError(where, [f"{where}.type: {what}"])


def check_channels(net: nn.Module, where: str) -> None:
    """Check before the first batch that a network takes as many channels as its image inputs have.

    Raises:
        OptionError: naming ``where``, the block of the option file.
    """
    if (what := channel_mistake(net)) is not None:
        raise OptionError(where, [f"{where}: {what}"])


def channel_mistake(net: nn.Module) -> str | None:
    """What is wrong with the channels that a network takes; None where they are those of its inputs."""
    names: tuple[str, ...] = net.image_inputs  # type: ignore[assignment]
    given = sum(_CHANNELS[name] for name in names)
    taken = net.example_inputs(_SMALL, _SMALL)[0].shape[1]  # type: ignore[operator]
    if taken == given:
        return None
    what = f"{type(net).__name__} takes {taken} channel(s), but its inputs ({', '.join(names)}) have {given}"
    return f"{what}; images are read as RGB, grey ones too: img_channel has to be 3, and extra_channel 0"
