"""What belongs to trained weights and is not among them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Protocol, runtime_checkable

import msgspec
from torch import nn

from basicsr.layers.normalization import Normalization, normalization_of
from basicsr.layers.padding import Padding


class WeightsFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How weights were trained and therefore have to be run; stored beside them. None: not said.

    Args:
        padding: of images whose sides do not fit; see `basicsr.layers.padding.SizeRule`.
        mask_value: strength of the masks; see `basicsr.masks.pooling.mask_average_pool`.
        normalization: of the training images.
    """

    padding: Padding | None = None
    mask_value: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    normalization: Normalization | None = None

    @classmethod
    def from_builtins(cls, stored: Any) -> WeightsFacts:
        """Undo `to_builtins`.

        Raises:
            ValueError: a fact that is unknown or has no possible value.
        """
        return msgspec.convert(stored, cls)

    def to_builtins(self) -> dict[str, Any]:
        """Plain values for a file; what is not said is left out."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __str__(self) -> str:
        said = [
            f"padding {self.padding}" if self.padding else "",
            f"mask value {self.mask_value:.6g}" if self.mask_value else "",
            str(self.normalization) if self.normalization else "",
        ]
        return ", ".join(filter(None, said))


@runtime_checkable
class HasWeightsFacts(Protocol):
    """A network that is run differently with different weights."""

    def weights_facts(self) -> WeightsFacts:
        """What belongs to the weights that it has."""
        ...

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        """Take over the facts of loaded weights.

        Args:
            facts: None for a file from elsewhere, which has none: its weights are taken for published ones.
            loaded: names of the weights that were loaded.

        Returns:
            A line for the log.
        """
        ...


def facts_of(net: nn.Module) -> WeightsFacts:
    """What belongs to the weights of any network."""
    facts = net.weights_facts() if isinstance(net, HasWeightsFacts) else WeightsFacts()
    return msgspec.structs.replace(facts, normalization=normalization_of(net))


def adopt_facts(net: nn.Module, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
    """Make any network run as its loaded weights have to be; arguments as of `HasWeightsFacts`.

    Returns:
        A line for the log; empty where there is nothing to say.
    """
    said = []
    if isinstance(net, HasWeightsFacts):
        said.append(net.adopt_weights_facts(facts, loaded))
    normalization = facts.normalization if facts is not None else None
    net.normalization = normalization  # type: ignore[assignment]
    if normalization is not None and not normalization.changes_nothing:
        said.append(f"{normalization} (of the training images)")
    return "; ".join(said)
