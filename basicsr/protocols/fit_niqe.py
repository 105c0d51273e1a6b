"""NIQE parameters from a folder of pristine photos."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from basicsr.metrics.niqe import Values, fit_pristine, niqe_features, niqe_luma, write_pristine
from basicsr.protocols.folders import read_unit, require_free
from basicsr.storage import DiskStorage
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE
from basicsr.utils.parallel import in_parallel


def fit_niqe(photos: Path, output: Path, overwrite: bool = False, workers: int | None = None) -> int:
    """Fit the parameters of `basicsr.metrics.niqe.NIQE` and write them as ``.npz``; returns how many photos.

    Args:
        photos: folder of sharp, noise-free photos, not enlarged and little compressed.
        output: file to write.
        overwrite: replace ``output``.
        workers: processes; null is one per core.

    Raises:
        UserError: if ``output`` exists already, there are no photos, or too few sharp blocks in them, or
            photos are broken or smaller than a block, which it names. Then nothing is written.
    """
    require_free([output], overwrite)
    storage = DiskStorage(photos, READABLE)
    keys = storage.keys()
    described = list(in_parallel(partial(_describe, storage), keys, "describing", workers))
    try:
        pristine = fit_pristine(described)
    except ValueError as error:
        raise UserError(f"{photos}: {error}; add more photos") from error
    write_pristine(output, pristine)
    return len(keys)


def _describe(storage: DiskStorage, key: str) -> tuple[Values, Values]:
    try:
        return niqe_features(niqe_luma(read_unit(storage, key)))
    except ValueError as error:
        raise UserError(f"{storage.describe(key)}: {error}; leave it out") from error
