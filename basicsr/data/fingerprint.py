"""A fingerprint of a data set, without reading its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from basicsr.data.paired import ImageDataset
from basicsr.utils.checksum import checksum


def fingerprint(dataset: ImageDataset) -> dict[str, Any]:
    """Number of images, a checksum of their keys, and for each field the size of all existing files.

    Files that are read in part only, such as those of an LMDB, count as a whole.
    """
    sizes = {field.name: _size(Path(field.root) / "data.mdb") for field in dataset.fields}
    for key in dataset.keys:
        for name, place in dataset.places(key).items():
            sizes[name] += _size(Path(place))
    keys = checksum("\n".join(dataset.keys).encode(errors="surrogateescape"))
    return {"images": len(dataset), "keys": keys, "bytes": sizes}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
