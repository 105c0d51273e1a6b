"""Fields of a sample: from keys to arrays (.., H, W) to tensors.

| field | tensor | meaning |
|---|---|---|
| lq, gt | float32 (3, H, W), RGB, [0, 1] | degraded and clean image |
| mask | float32 (1, H, W), [0, 1] | gray mask channel |
| labels | int32 (H, W) | label map, 0 = uncovered |

In training batches label maps are compact, see `basicsr.masks.pooling.compact_labels`.

With `FramesField`, each of them may have a leading axis of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from basicsr.data.pairing import require_same
from basicsr.masks.label_map import decode_label_map
from basicsr.storage import Storage, open_storage
from basicsr.storage.arrays import decode_array, is_array
from basicsr.storage.base import as_key
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE, decode_rgb, decode_single, to_chw, to_tensor
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit

Backend = Literal["disk", "lmdb"]


class Field(Protocol):
    """One part of every sample.

    A data set loads each field (`load`), transforms all fields of a sample alike (`basicsr.data.transforms`),
    and passes each to `finish`. Instances can be pickled.
    """

    @property
    def name(self) -> str:
        """Key in the sample."""
        ...

    @property
    def root(self) -> str:
        """Where the keys come from (a folder, an LMDB, a file), for messages."""
        ...

    @property
    def is_image(self) -> bool:
        """Whether `finish` returns RGB in [0, 1], (.., 3, H, W), to which ``mean`` and ``std`` apply."""
        ...

    def keys(self) -> list[str]:
        """All keys in order, the same in every epoch."""
        ...

    def load(self, key: str, epoch: int, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
        """The array of one sample, (.., H, W).

        Args:
            epoch: of training, from 0; evaluation is 0. It may determine what is read.
            limit: on the pixels of a file, checked before it is decoded.

        Raises:
            UserError: if it cannot be read, or is larger; names the file.
        """
        ...

    def finish(self, array: NDArray[Any]) -> torch.Tensor:
        """The transformed array from `load` -> tensor."""
        ...

    def places(self, key: str) -> str:
        """What is read for ``key``, for reports and errors: a file, an entry of an LMDB, or several."""
        ...


@dataclass(frozen=True)
class StoredField:
    """One stored file per key.

    Args:
        name: key in the sample.
        root: folder or LMDB, for messages.
        storage: bytes by key.
        decode: (bytes, name for errors, limit) -> array that ends in (H, W), in the type of the file.
        finish: array after the transforms -> tensor.
        is_image: whether the tensor is RGB in [0, 1].
    """

    name: str
    root: str
    storage: Storage
    decode: Callable[[bytes, str, PixelLimit], NDArray[Any]]
    finish: Callable[[NDArray[Any]], torch.Tensor]
    is_image: bool = False

    def keys(self) -> list[str]:
        """The keys of the storage, sorted."""
        return self.storage.keys()

    def load(self, key: str, epoch: int, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
        """The decoded file, in every epoch the same."""
        return self.decode(self.storage.read(key), self.storage.describe(key), limit)

    def places(self, key: str) -> str:
        """The file, or the entry of an LMDB."""
        return self.storage.describe(key)


@dataclass(frozen=True)
class ChosenField:
    """One stored file per key, selected by another file.

    Args:
        stored: field of the stored files, which gives this field its name.
        root: the file that selects, for messages.
        chosen: key of the sample -> key of its file.

    Raises:
        UserError: if files are missing.
    """

    stored: StoredField
    root: str
    chosen: Mapping[str, str]

    def __post_init__(self) -> None:
        wanted = {as_key(key) for key in self.chosen.values()}
        require_same(wanted, wanted & set(self.stored.keys()), self.root, self.stored.root)

    @property
    def name(self) -> str:
        """The name of the stored field."""
        return self.stored.name

    @property
    def is_image(self) -> bool:
        """As for the stored field."""
        return self.stored.is_image

    def keys(self) -> list[str]:
        """In the order of ``chosen``."""
        return list(self.chosen)

    def load(self, key: str, epoch: int, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
        """The decoded file, in every epoch the same."""
        return self.stored.load(self.chosen[key], epoch, limit)

    def finish(self, array: NDArray[Any]) -> torch.Tensor:
        """As for the stored field."""
        return self.stored.finish(array)

    def places(self, key: str) -> str:
        """The file, or the entry of an LMDB."""
        return self.stored.places(self.chosen[key])


@dataclass(frozen=True)
class FramesField:
    """Several stored files per key, stacked: (N, .., H, W).

    Args:
        frame: field of one frame, which gives this field its name.
        root: the file that selects the frames, for messages.
        chosen: key of the sample -> keys of its frames in order.

    Raises:
        UserError: if frames are missing, or a sample has none.
    """

    frame: StoredField
    root: str
    chosen: Mapping[str, Sequence[str]]

    def __post_init__(self) -> None:
        for key, frames in self.chosen.items():
            if not frames:
                raise UserError(f"{self.root}: no frame is selected for '{key}'; leave it out")
        wanted = {as_key(frame) for frames in self.chosen.values() for frame in frames}
        require_same(wanted, wanted & set(self.frame.keys()), self.root, self.frame.root)

    @property
    def name(self) -> str:
        """The name of the field of a frame."""
        return self.frame.name

    @property
    def is_image(self) -> bool:
        """As for a frame."""
        return self.frame.is_image

    def keys(self) -> list[str]:
        """In the order of ``chosen``."""
        return list(self.chosen)

    def load(self, key: str, epoch: int, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
        """All frames of ``key``, which have the same size and depth."""
        arrays = [self.frame.load(frame, epoch, limit) for frame in self.chosen[key]]
        for frame, array in zip(self.chosen[key], arrays, strict=True):
            if (array.shape, array.dtype) != (arrays[0].shape, arrays[0].dtype):
                found = f"has {_looks(array)}, the first frame of '{key}' {_looks(arrays[0])}"
                raise UserError(f"{self.frame.places(frame)}: {found}; make them alike")
        return np.stack(arrays)

    def finish(self, array: NDArray[Any]) -> torch.Tensor:
        """Each frame finished separately, then stacked."""
        return torch.stack([self.frame.finish(frame) for frame in array])

    def places(self, key: str) -> str:
        """First and last frame."""
        first, *others = (self.frame.places(frame) for frame in self.chosen[key])
        return f"{first} .. {others[-1]}" if others else first


def image_field(name: str, root: str, backend: Backend) -> StoredField:
    """A color image."""
    storage = open_storage(root, backend, READABLE)
    return StoredField(name, root, storage, _decode_image, to_tensor, is_image=True)


def mask_field(name: str, root: str, backend: Backend) -> StoredField:
    """A gray mask channel."""
    return StoredField(name, root, open_storage(root, backend, READABLE), _decode_mask, to_tensor)


def label_field(name: str, root: str, backend: Backend) -> StoredField:
    """A label map in any format of `decode_label_map`, detected from the content."""
    storage = open_storage(root, backend, (".png", ".npz"))
    return StoredField(name, root, storage, _decode_labels, _to_int_tensor)


def _looks(array: NDArray[Any]) -> str:
    height, width = array.shape[-2:]
    return f"{width}x{height} pixels of {array.dtype.itemsize * 8} bits"


def _decode_image(data: bytes, name: str, limit: PixelLimit) -> NDArray[Any]:
    return to_chw(decode_array(data, name, 3, limit) if is_array(data) else decode_rgb(data, name, limit))


def _decode_mask(data: bytes, name: str, limit: PixelLimit) -> NDArray[Any]:
    mask = decode_array(data, name, None, limit) if is_array(data) else decode_single(data, name, limit)
    return mask[np.newaxis]


def _decode_labels(data: bytes, name: str, limit: PixelLimit) -> NDArray[Any]:
    if is_array(data):
        return decode_array(data, name, None, limit)
    return decode_label_map(data, name, limit=limit)


def _to_int_tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.int32))
