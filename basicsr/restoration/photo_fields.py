"""A photo of any size as the fields that a network takes, cut lazily, and its eight orientations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.engine.inference import image_means
from basicsr.engine.tiling import Window
from basicsr.layers.normalization import Normalization
from basicsr.masks import LabelMap
from basicsr.models.base import Batch, gather_inputs
from basicsr.utils.image import Array, to_chw, to_tensor

DELIVERS = ("lq", "mask", "labels")


class Turn(NamedTuple):
    """One of the eight orientations of a square: mirrored or not, then turned by quarters."""

    mirrored: bool = False
    quarters: int = 0

    def view(self, x: Array) -> Array:
        """An array (.., H, W) in this orientation, without copying."""
        return np.rot90(x[..., ::-1] if self.mirrored else x, self.quarters, (-2, -1))

    def there(self, x: Tensor) -> Tensor:
        """A tensor (.., H, W) in this orientation."""
        return torch.rot90(x.flip(-1) if self.mirrored else x, self.quarters, (-2, -1))

    def back(self, x: Tensor) -> Tensor:
        """The inverse of `there`."""
        turned = torch.rot90(x, -self.quarters, (-2, -1))
        return turned.flip(-1) if self.mirrored else turned


AS_IT_IS = (Turn(),)
ALL_EIGHT = tuple(Turn(mirrored, quarters) for mirrored in (False, True) for quarters in range(4))


@dataclass(frozen=True)
class PhotoFields:
    """A photo as the fields of a batch of one, kept in the type of the file until a part is asked for.

    Args:
        image: (H, W, 3) RGB, uint8 or uint16; the field ``lq``.
        labels: label map (H, W) for networks that take one.
        mask: uint8 (H, W) for networks with a mask channel.
    """

    image: Array
    labels: LabelMap | None = None
    mask: Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def batch(self, window: Window, device: torch.device, turn: Turn = AS_IT_IS[0]) -> Batch:
        """A part of the turned photo: ``lq`` (1, 3, h, w) and ``mask`` in [0, 1], ``labels`` (1, h, w)."""
        fields = {"lq": to_tensor(window.of(turn.view(to_chw(self.image))))}
        if self.mask is not None:
            fields["mask"] = to_tensor(window.of(turn.view(self.mask[None])))
        if self.labels is not None:
            fields["labels"] = torch.from_numpy(np.ascontiguousarray(window.of(turn.view(self.labels))))
        return {name: field[None].to(device) for name, field in fields.items()}

    def means(
        self, net: RestorationNetwork, turn: Turn, device: torch.device, normalization: Normalization
    ) -> Tensor:
        """Region means (1, C, regions + 1) of the whole turned photo, which ``net`` takes normalized."""
        assert self.labels is not None
        height, width = self.size if turn.quarters % 2 == 0 else self.size[::-1]

        def strip(first: int, last: int) -> tuple[Tensor, Tensor]:
            batch = self.batch(Window(first, 0, last - first, width), device, turn)
            image, labels = gather_inputs(net, batch)
            return normalization.apply(image), labels

        return image_means(net, strip, height, width, int(self.labels.max()) + 1)
