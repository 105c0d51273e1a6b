"""A photo of any size through a network: tiles that are blended, and turned copies that are averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from basicsr.archs.base import RestorationNetwork
from basicsr.engine.inference import blend_weights, image_means, window_starts
from basicsr.layers.normalization import Normalization
from basicsr.masks import LabelMap
from basicsr.utils.image import to_chw, to_pixels, to_tensor

Array = NDArray[Any]
AnyArray = TypeVar("AnyArray", Array, Tensor)


class Turn(NamedTuple):
    """One of the eight ways to lay a square down: mirrored or not, then turned by quarters."""

    mirrored: bool = False
    quarters: int = 0

    def view(self, x: Array) -> Array:
        """An array (.., H, W) laid down this way, without copying."""
        return np.rot90(x[..., ::-1] if self.mirrored else x, self.quarters, (-2, -1))

    def there(self, x: Tensor) -> Tensor:
        """A tensor (.., H, W) laid down this way."""
        return torch.rot90(x.flip(-1) if self.mirrored else x, self.quarters, (-2, -1))

    def back(self, x: Tensor) -> Tensor:
        """What undoes `there`."""
        turned = torch.rot90(x, -self.quarters, (-2, -1))
        return turned.flip(-1) if self.mirrored else turned


AS_IT_IS = (Turn(),)
ALL_EIGHT = tuple(Turn(mirrored, quarters) for mirrored in (False, True) for quarters in range(4))


class Window(NamedTuple):
    """A part of a photo in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Photo:
    """What a network is given of one photo, kept in the type of the file.

    Args:
        image: (H, W, 3) RGB, uint8 or uint16.
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

    def inputs(self, turn: Turn, window: Window, device: torch.device) -> tuple[Tensor, ...]:
        """What a network takes of a part of the turned photo: (1, C, h, w) in [0, 1], label map (1, h, w)."""
        part = np.s_[..., window.top : window.top + window.height, window.left : window.left + window.width]
        planes = [to_tensor(turn.view(to_chw(self.image))[part])]
        if self.mask is not None:
            planes.append(to_tensor(turn.view(self.mask[None])[part]))
        image = torch.cat(planes)[None].to(device)
        if self.labels is None:
            return (image,)
        labels = torch.from_numpy(np.ascontiguousarray(turn.view(self.labels)[part]))
        return image, labels[None].to(device)

    def means(
        self, net: RestorationNetwork, turn: Turn, device: torch.device, normalization: Normalization
    ) -> Tensor:
        """Region means (1, C, regions + 1) of the whole turned photo, which ``net`` takes normalized."""
        assert self.labels is not None
        height, width = self.size if turn.quarters % 2 == 0 else self.size[::-1]

        def strip(first: int, last: int) -> tuple[Tensor, Tensor]:
            image, labels = self.inputs(turn, Window(first, 0, last - first, width), device)
            return normalization.apply(image), labels

        return image_means(net, strip, height, width, int(self.labels.max()) + 1)


def in_tiles(
    restore: Callable[[Window], Tensor], photo: Photo, tile: int | None, overlap: int, progress: bool = False
) -> Array:
    """Restore a photo tile by tile; only one row of tiles is held as float.

    Args:
        restore: a part of the photo -> (1, 3, h, w) in [0, 1].
        tile: side of a tile in pixels; None is the whole photo.
        overlap: pixels that neighbours share at least, blended by linear ramps.
        progress: show a bar when there are many tiles.

    Returns:
        (H, W, 3) RGB in the type of the photo.
    """
    rows, columns = photo.size
    height, width = min(tile or rows, rows), min(tile or columns, columns)
    tops, lefts = window_starts(rows, height, overlap), window_starts(columns, width, overlap)
    down, across = blend_weights(rows, height, tops, overlap), blend_weights(columns, width, lefts, overlap)
    result = np.empty_like(photo.image)
    number = len(tops) * len(lefts)
    band: Tensor | None = None  # rows from ``top`` on that are not finished yet
    with tqdm(
        total=number, unit="tile", leave=False, disable=None if progress and number > 1 else True
    ) as bar:
        for i, top in enumerate(tops):
            for j, left in enumerate(lefts):
                part = restore(Window(top, left, height, width))[0]
                if band is None:
                    band = part.new_zeros(3, height, columns)
                weights = (down[i][:, None] * across[j]).to(part.device)
                band[..., left : left + width] += part * weights
                bar.update()
            assert band is not None
            done = (tops[i + 1] if i + 1 < len(tops) else rows) - top
            result[top : top + done] = to_pixels(band[:, :done], photo.image.dtype)
            band = torch.nn.functional.pad(band[:, done:], (0, 0, 0, done))
    return result
