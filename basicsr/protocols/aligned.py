"""RealBlur's protocol for folders of images: every figure after alignment to the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from basicsr.config.paths import ResultPaths
from basicsr.data.pairing import require_same
from basicsr.engine.evaluator import Evaluation
from basicsr.engine.report import publish_results
from basicsr.metrics import calculate_psnr, calculate_psnr_aligned, calculate_ssim_aligned
from basicsr.metrics.alignment import align, aligned_scores, masked_psnr, masked_ssim
from basicsr.metrics.base import registered
from basicsr.protocols.folders import read_unit, require_free, side_by_side
from basicsr.protocols.job import EvaluationJob
from basicsr.storage import DiskStorage
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE, write_png
from basicsr.utils.parallel import in_parallel

_COLUMNS = {
    "psnr_aligned": registered(calculate_psnr_aligned),
    "ssim_aligned": registered(calculate_ssim_aligned),
    "blurry_psnr_aligned": registered(calculate_psnr_aligned),
    "blurry_ssim_aligned": registered(calculate_ssim_aligned),
    "blurry_psnr": registered(calculate_psnr),
}


@dataclass(frozen=True)
class _Folders:
    blurry: DiskStorage
    restored: DiskStorage
    sharp: DiskStorage


def evaluate_aligned(job: EvaluationJob) -> Evaluation:
    """Score every image and write the results.

    The columns: ``psnr_aligned``, ``ssim_aligned`` of the restored image, ``blurry_psnr_aligned`` and
    ``blurry_ssim_aligned`` of the blurry one, and ``blurry_psnr`` without alignment, which is what the
    published evaluation reports for it.

    Raises:
        UserError: if folders do not pair, or results exist already. After the last image, names those that
            could not be compared; then no means are written.
    """
    folders = _Folders(*(DiskStorage(folder, READABLE) for folder in (job.blurry, job.restored, job.sharp)))
    keys = folders.sharp.keys()
    for storage in (folders.blurry, folders.restored):
        require_same(keys, storage.keys(), str(job.sharp), str(storage.folder))
    paths = ResultPaths(job.output)
    pictures = [paths.visualization / f"{key}.png" for key in keys if job.pictures]
    require_free([paths.metrics_json, paths.metrics_csv, *pictures], job.overwrite)
    work = partial(_score, folders, paths.visualization if job.pictures else None)
    scores = list(in_parallel(work, keys, "aligning", job.workers))
    evaluation = Evaluation.of("aligned", keys, scores, _COLUMNS)
    publish_results(paths, [evaluation])
    return evaluation


def _score(folders: _Folders, pictures: Path | None, key: str) -> dict[str, float]:
    blurry, restored, sharp = (
        read_unit(storage, key) for storage in (folders.blurry, folders.restored, folders.sharp)
    )
    for storage, image in ((folders.blurry, blurry), (folders.restored, restored)):
        if image.shape != sharp.shape:
            sizes = "has {1}x{0} pixels, the sharp one {4}x{3}".format(*image.shape, *sharp.shape)
            raise UserError(f"{storage.describe(key)}: {sizes}; restore it without resizing or cropping")
    try:
        before = calculate_psnr(blurry, sharp)
        blurry_scores = aligned_scores(blurry, sharp)
        aligned = align(restored, sharp)
        psnr, ssim = masked_psnr(aligned), masked_ssim(aligned)
    except ValueError as error:
        raise UserError(f"{folders.sharp.describe(key)}: {error}; leave it out") from error
    if pictures is not None:
        panels = [
            (f"blurry {before:.2f} dB", blurry),
            (f"restored, aligned {psnr:.2f} dB, {ssim:.4f}", aligned.restored),
            ("sharp", sharp),
        ]
        write_png(pictures / f"{key}.png", side_by_side(panels))
    return {
        "psnr_aligned": psnr,
        "ssim_aligned": ssim,
        "blurry_psnr_aligned": blurry_scores.psnr,
        "blurry_ssim_aligned": blurry_scores.ssim,
        "blurry_psnr": before,
    }
