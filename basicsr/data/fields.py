"""Fields of a sample: from bytes to an array (.., H, W) and on to a tensor.

| field | tensor | meaning |
|---|---|---|
| lq, gt | float32 (3, H, W), RGB, [0, 1] | degraded and clean image |
| mask | float32 (1, H, W), [0, 1] | grey mask channel |
| labels | int32 (H, W) | label map, 0 = uncovered |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from basicsr.masks.label_map import decode_label_map
from basicsr.storage import Storage, open_storage
from basicsr.utils.image import READABLE, decode_rgb, decode_single, to_chw, to_tensor

Backend = Literal["disk", "lmdb"]


@dataclass(frozen=True)
class Field:
    """One field of every sample.

    Args:
        name: key in the sample.
        root: folder or LMDB, for messages.
        storage: bytes by key.
        decode: (bytes, name for errors) -> array that ends in (H, W), still in the type of the file.
        finish: array after cropping and flipping -> tensor.
    """

    name: str
    root: str
    storage: Storage
    decode: Callable[[bytes, str], NDArray[Any]]
    finish: Callable[[NDArray[Any]], torch.Tensor]

    def load(self, key: str) -> NDArray[Any]:
        """The array of one sample."""
        return self.decode(self.storage.read(key), self.storage.describe(key))


def image_field(name: str, root: str, backend: Backend) -> Field:
    """A colour image."""
    return Field(name, root, open_storage(root, backend, READABLE), _decode_image, to_tensor)


def mask_field(name: str, root: str, backend: Backend) -> Field:
    """A grey mask channel."""
    return Field(name, root, open_storage(root, backend, READABLE), _decode_mask, to_tensor)


def label_field(name: str, root: str, backend: Backend) -> Field:
    """A label map in any format of `decode_label_map`, told apart by content."""
    return Field(name, root, open_storage(root, backend, (".png", ".npz")), decode_label_map, _to_int_tensor)


def _decode_image(data: bytes, name: str) -> NDArray[Any]:
    return to_chw(decode_rgb(data, name))


def _decode_mask(data: bytes, name: str) -> NDArray[Any]:
    return decode_single(data, name)[np.newaxis]


def _to_int_tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.int32))
