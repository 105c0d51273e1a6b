"""Fréchet distance of two folders of images, which deraining papers report in addition to PSNR and SSIM."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from basicsr.config.paths import ResultPaths
from basicsr.engine.evaluator import Evaluation
from basicsr.engine.report import publish_results
from basicsr.metrics.fid import FID, Features, frechet_distance
from basicsr.metrics.summary import Summary
from basicsr.protocols.folders import require_free
from basicsr.storage import DiskStorage
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE, decode_rgb, to_8_bit
from basicsr.utils.parallel import in_parallel


def evaluate_fid(
    restored: Path, sharp: Path, output: Path, weights: Path, device: str = "auto", overwrite: bool = False
) -> Evaluation:
    """Write the distance to ``metrics.json``, with the names of the restored images.

    Images need no counterpart in the other folder, and may differ in size; 16 bits are rounded to 8.

    Args:
        restored, sharp: folders of images.
        output: folder for ``metrics.json`` and ``metrics.csv``.
        weights: see `basicsr.metrics.fid.FID`.

    Raises:
        UserError: if there are no such weights or device, results exist already, a folder has fewer than 2
            images, or images are broken, which it names. Then nothing is written.
    """
    ours, theirs = (DiskStorage(folder, READABLE) for folder in (restored, sharp))
    keys = ours.keys()
    paths = ResultPaths(output)
    require_free([paths.metrics_json, paths.metrics_csv], overwrite)
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; --weights takes a file with Inception v3")
    fid = FID(str(weights), device)
    try:
        distance = frechet_distance(_features(fid, ours), _features(fid, theirs))
    except ValueError as error:
        raise UserError(f"{restored} and {sharp}: {error}") from error
    evaluation = Evaluation(
        "fid", [{"key": key} for key in keys], {"fid": Summary(distance, infinite=0, undefined=0)}
    )
    publish_results(paths, [evaluation])
    return evaluation


def _features(fid: FID, storage: DiskStorage) -> Features:
    """(N, 2048)"""

    def features(key: str) -> Features:
        image = decode_rgb(storage.read(key), storage.describe(key))
        return fid.features(to_8_bit(image))

    # one worker: the network itself uses all cores, or a GPU
    return np.stack(list(in_parallel(features, storage.keys(), f"looking at {storage.folder}", workers=1)))
