"""Networks that pad images the way their weights were trained."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from basicsr.archs.base import RestorationNetwork
from basicsr.layers.padding import Padding, SizeRule
from basicsr.layers.weights_facts import WeightsFacts


class PaddedNetwork(RestorationNetwork):
    """A network with an option ``padding``.

    Args:
        rule_of: padding -> size rule of the network.
        padding: of images whose sides do not fit. None follows the weights: zeros for published ones, edge
            for networks trained here.
    """

    # PyTorch stores it with a state dict; published ones have 1. See `_load_from_state_dict`.
    _version = 2

    def __init__(self, rule_of: Callable[[Padding], SizeRule], padding: Padding | None) -> None:
        super().__init__()
        self._rule_of = rule_of
        self.size_rule = rule_of(padding or "edge")
        self.padding_is_forced = padding is not None

    def weights_facts(self) -> WeightsFacts:
        return WeightsFacts(padding=self.size_rule.padding)

    def adopt_weights_facts(self, facts: WeightsFacts | None, loaded: Collection[str]) -> str:
        if self.padding_is_forced:
            reason = "forced by the option padding"
        elif facts is None:
            self._pad_with("zeros")
            reason = "published weights, trained with zeros"
        elif facts.padding is None:
            self._pad_with("edge")
            reason = "written before checkpoints stored it"
        else:
            self._pad_with(facts.padding)
            reason = "from the checkpoint"
        return f"padding {self.size_rule.padding} ({reason})"

    def _pad_with(self, padding: Padding) -> None:
        self.size_rule = self._rule_of(padding)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        if local_metadata.get("version") == 1 and not self.padding_is_forced:
            self._pad_with("zeros")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
