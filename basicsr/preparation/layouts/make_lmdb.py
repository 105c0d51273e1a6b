"""Put a folder of images, label maps or published ``.npz`` stacks into one LMDB, byte for byte."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from basicsr.masks.legacy import read_published_npz
from basicsr.preparation.reading import decode_as_it_is, read_bytes
from basicsr.storage import DiskStorage, write_lmdb
from basicsr.utils.errors import UserError
from basicsr.utils.folders import require_outside
from basicsr.utils.image import READABLE
from basicsr.utils.parallel import in_parallel

Shape = tuple[int, int, int]


def make_lmdb(source: Path, target: Path, workers: int | None = None) -> int:
    """Write a new LMDB; returns the number of its entries.

    A key is a file's path below ``source`` without suffix, as in `basicsr.storage.DiskStorage`, so a data set
    reads the same samples from either. Every file is decoded once to check that it is complete. An LMDB with
    missing entries would be useless, so a broken file prevents it.

    Args:
        workers: processes; null is one per core.

    Raises:
        UserError: if ``target`` exists or is inside ``source``, there is no file to read, or, after all
            others were checked, files are broken.
    """
    require_outside(target, source)
    if target.exists():
        raise UserError(f"{target}: exists already; delete it or choose another name")
    storage = DiskStorage(source, (*READABLE, ".npz"))
    with closing(_entries(storage, workers)) as entries:  # the bar ends before an error message
        write_lmdb(target, entries)
    return len(storage.keys())


def _entries(storage: DiskStorage, workers: int | None) -> Generator[tuple[str, bytes, Shape], None, None]:
    keys = storage.keys()
    paths = [Path(storage.describe(key)) for key in keys]
    files = in_parallel(_read_verified, list(zip(keys, paths, strict=True)), "writing", workers, threads=True)
    yield from files


def _read_verified(file: tuple[str, Path]) -> tuple[str, bytes, Shape]:
    """Key, bytes, and (height, width, channels) after decoding; the channels of a stack are masks."""
    key, path = file
    data = read_bytes(path)
    if data.startswith(b"PK"):
        masks = read_published_npz(data, str(path))
        return key, data, (masks.shape[1], masks.shape[2], masks.shape[0])
    image = decode_as_it_is(data, str(path))
    return key, data, (image.shape[0], image.shape[1], 1 if image.ndim == 2 else 3)
