"""Facts that belong to trained weights but are not weights."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from basicsr.layers.normalization import Normalization
from basicsr.layers.padding import Padding


class WeightsFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How weights were trained and therefore have to be run; stored with them. None: unknown.

    Args:
        padding: of images whose sides do not fit; see `basicsr.layers.padding.SizeRule`.
        mask_value: strength of the masks; see `basicsr.masks.pooling.mask_average_pool`.
        normalization: of the training images.
        shift_bottleneck: whether the bottleneck shifts its windows; see `basicsr.archs.uformer.Uformer`.
    """

    padding: Padding | None = None
    mask_value: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    normalization: Normalization | None = None
    shift_bottleneck: bool | None = None

    @classmethod
    def from_builtins(cls, stored: Any) -> WeightsFacts:
        """Undo `to_builtins`.

        Raises:
            ValueError: if a fact is unknown or its value is not possible.
        """
        return msgspec.convert(stored, cls)

    def to_builtins(self) -> dict[str, Any]:
        """Plain values for a file, without unknown facts."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __str__(self) -> str:
        lines = [
            f"padding {self.padding}" if self.padding else "",
            f"mask value {self.mask_value:.6g}" if self.mask_value else "",
            str(self.normalization) if self.normalization else "",
            {True: "bottleneck shifted", False: "bottleneck not shifted", None: ""}[self.shift_bottleneck],
        ]
        return ", ".join(filter(None, lines))
