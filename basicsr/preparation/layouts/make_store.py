"""Pack the folders of a split into LMDBs of arrays without compression: crops of them need no decoding."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from basicsr.data.pairing import require_same
from basicsr.masks.label_map import decode_label_map
from basicsr.preparation.layouts.crop_patches import CROP_FOLDERS
from basicsr.preparation.layouts.make_lmdb import Shape
from basicsr.preparation.reading import read_bytes
from basicsr.storage import DiskStorage, LmdbStorage, write_lmdb
from basicsr.storage.arrays import encode_array
from basicsr.utils.errors import UserError
from basicsr.utils.folders import require_outside
from basicsr.utils.image import READABLE, decode_rgb, decode_single
from basicsr.utils.parallel import in_parallel

Entry = tuple[str, bytes, Shape]

_LABELS, _MASK = "grouped_masks", "input_mask"
# What a folder of a split holds, by its name; crops have names of their own.
_CONTENTS = {name: folder for folder, crops in CROP_FOLDERS.items() for name in (folder, crops)}


def make_store(split: Path, output: Path, workers: int | None = None) -> dict[str, int]:
    """Write an LMDB ``output/<folder>`` for each folder of a split: images, masks, label maps, and crops.

    Each is read once more when it is complete, and compared with its checksums. One that exists is kept.

    Args:
        split: e.g. ``datasets/GoPro/train``.
        output: a new folder, or that of an earlier call that was cut short.
        workers: threads; null is one per core.

    Returns:
        The number of entries by folder.

    Raises:
        UserError: the split has no such folder, files do not pair, ``output`` lies inside of the split, or,
            after all others are done, files are broken.
    """
    require_outside(output, split)
    folders = [folder for folder in _CONTENTS if (split / folder).is_dir()]
    if not folders:
        raise UserError(f"{split}: has none of the folders {', '.join(_CONTENTS)}; check the path")
    storages = {folder: DiskStorage(split / folder, (*READABLE, ".npz")) for folder in folders}
    for group in (list(CROP_FOLDERS), list(CROP_FOLDERS.values())):
        present = [folder for folder in group if folder in storages]
        for folder in present[1:]:
            keys = storages[present[0]].keys(), storages[folder].keys()
            require_same(*keys, str(split / present[0]), str(split / folder))
    counts = {}
    for folder, storage in storages.items():
        target = output / folder
        if not target.exists():
            with closing(_entries(storage, _CONTENTS[folder], workers)) as entries:
                write_lmdb(target, entries)
        counts[folder] = _checked(target)
    return counts


def _entries(storage: DiskStorage, content: str, workers: int | None) -> Generator[Entry, None, None]:
    keys = storage.keys()
    files = [(key, Path(storage.describe(key))) for key in keys]
    yield from in_parallel(partial(_encoded, content=content), files, content, workers, threads=True)


def _encoded(file: tuple[str, Path], content: str) -> Entry:
    """Key, entry, and (height, width, channels)."""
    key, path = file
    data, name = read_bytes(path), str(path)
    if content == _LABELS:
        labels = decode_label_map(data, name)
        pixels = labels.astype(np.uint8 if labels.max() <= 255 else np.uint16)
    else:
        pixels = (decode_single if content == _MASK else decode_rgb)(data, name)
    return key, encode_array(pixels), (*pixels.shape[:2], 1 if pixels.ndim == 2 else 3)


def _checked(target: Path) -> int:
    """Read every entry, which compares it with its checksum; returns their number."""
    storage = LmdbStorage(target)
    keys = storage.keys()
    for key in keys:
        storage.read(key)
    return len(keys)
