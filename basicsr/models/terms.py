"""A sum of losses, each called with the parts of batch and prediction that it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from basicsr.utils.named import Named


class Terms(nn.ModuleDict):
    """Losses by the name that the log shows.

    A loss takes, by the names of its parameters, fields of the batch (``lq``, ``gt``, ``labels``, ..) and
    stages of the network (``restored`` and others from `RestorationNetwork.stages`). ``pred`` is
    ``restored``, and ``target`` the field that predictions are compared with. It returns a weighted scalar.

    Args:
        losses: by name.
    """

    def __init__(self, losses: Mapping[str, nn.Module]) -> None:
        super().__init__(losses)
        self._calls = {name: Named(loss) for name, loss in self.items()}

    def needs(self, stage_names: Collection[str], reference: str) -> tuple[str, ...]:
        """Fields of a batch that the losses name.

        Args:
            stage_names: other names that they may use.
            reference: field that predictions are compared with.
        """
        given = {"pred", "target", *stage_names}
        named = [name for call in self._calls.values() for name in call.needs if name not in given]
        return tuple(dict.fromkeys([reference, *named]))

    def forward(
        self, batch: Mapping[str, Any], stages: Mapping[str, Any], reference: str
    ) -> dict[str, Tensor]:
        """``loss``, which is the sum, and each term by its name."""
        offered = {**batch, **stages, "pred": stages["restored"], "target": batch[reference]}
        terms = {name: call(offered) for name, call in self._calls.items()}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}
