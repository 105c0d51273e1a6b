"""Base class of networks around another registered network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.padding import SizeRule
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.registry import ARCHS, split_type

_INSIDE = "net."


class Wrapper(RestorationNetwork):
    """A network around another one, its ``net``, with the same inputs, outputs, padding and loading.

    Args:
        net: block of the inner network, with its ``type``.
        extra_channel: input channels that this network adds after those of the inner one.
    """

    wraps = "net"

    def __init__(self, net: dict[str, Any], extra_channel: int = 0) -> None:
        super().__init__()
        name, options = split_type(net)
        added = {"extra_channel": extra_channel} if extra_channel else {}
        self.net: RestorationNetwork = ARCHS.build(name, options | added)
        self.gives = self.net.gives
        self.img_channel = self.net.img_channel
        self.image_inputs = self.net.image_inputs
        self.stage_names = self.net.stage_names
        self._added_channels = extra_channel

    @property
    def size_rule(self) -> SizeRule:  # type: ignore[override]
        """Which sizes need no padding, and how others are padded: as in the inner network."""
        return self.net.size_rule

    @property
    def input_channels(self) -> int:
        return self.net.input_channels - self._added_channels

    @property
    def bytes_per_pixel(self) -> int:
        return self.net.bytes_per_pixel

    def adapt_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        others = {name: tensor for name, tensor in state.items() if not name.startswith(_INSIDE)}
        inner = self.net.adapt_state(inside(state))
        return others | {_INSIDE + name: tensor for name, tensor in inner.items()}

    def weights_facts(self) -> WeightsFacts:
        return self.net.weights_facts()

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        inner = [name.removeprefix(_INSIDE) for name in loaded if name.startswith(_INSIDE)]
        return self.net.adopt_weights_facts(facts, inner)


def inside(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the inner network, by its own names."""
    return {name[len(_INSIDE) :]: tensor for name, tensor in state.items() if name.startswith(_INSIDE)}
