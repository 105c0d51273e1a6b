"""The protocol of Köhler et al., "Recording and Playback of Camera Shake" (ECCV 2012).

The camera's path during the exposure was recorded as many sharp frames. A restored image is compared with
each of them after alignment, and the best frame counts, since the moment that it shows is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.config.paths import ResultPaths
from basicsr.data.pairing import require_same
from basicsr.engine.evaluator import Evaluation
from basicsr.engine.report import publish_results
from basicsr.metrics import calculate_psnr, calculate_psnr_aligned, calculate_ssim_aligned
from basicsr.metrics.alignment import Aligned, align, masked_psnr, masked_ssim
from basicsr.metrics.base import registered
from basicsr.protocols.folders import Image, read_unit, require_free, side_by_side
from basicsr.protocols.job import EvaluationJob
from basicsr.storage import DiskStorage
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE, write_png
from basicsr.utils.mat import NewerMatError, read_mat
from basicsr.utils.parallel import in_parallel
from basicsr.utils.reading import read_file

VARIABLE = "GroundTruth"
_LARGEST_MAT = 1 << 32  # bytes; 199 frames of 800 x 800 pixels as double are 3.1 GB
TOO_GOOD = 60.0  # dB; a frame that scores this or more is left out, as published
_BLURRY_NAME, _SHARP_NAME = "Blurry", "GroundTruth"  # Blurry1_2.png belongs to GroundTruth1_2.mat
_COLUMNS = {
    "psnr_aligned": registered(calculate_psnr_aligned),
    "ssim_aligned": registered(calculate_ssim_aligned),
    "blurry_psnr": registered(calculate_psnr),
}


@dataclass(frozen=True)
class _Best:
    """The frame with the best PSNR, its number from 0, and the alignment to it."""

    frame: int
    psnr: float
    sharp: Image
    aligned: Aligned


def evaluate_kohler(job: EvaluationJob) -> Evaluation:
    """Score every image and write the results.

    ``job.sharp`` holds a ``.mat`` for each blurry image, with the same name or with ``GroundTruth`` instead
    of ``Blurry``; its variable ``GroundTruth`` is (H, W, 3, N) in 0..255. Blurry and restored images of a
    different size are resized. The columns: ``psnr_aligned`` and ``ssim_aligned`` of the restored image with
    its best frame, and ``blurry_psnr`` without alignment with the same frame.

    Raises:
        UserError: if folders do not pair, or results exist already. After the last image, names those that
            could not be compared; then no means are written.
    """
    blurry, restored = (DiskStorage(folder, READABLE) for folder in (job.blurry, job.restored))
    sharp = DiskStorage(job.sharp, (".mat",))
    keys = blurry.keys()
    require_same(keys, restored.keys(), str(job.blurry), str(job.restored))
    names = set(sharp.keys())
    truths = [key if key in names else key.replace(_BLURRY_NAME, _SHARP_NAME) for key in keys]
    require_same(truths, names, str(job.blurry), str(job.sharp))
    paths = ResultPaths(job.output)
    pictures = [paths.visualization / f"{key}.png" for key in keys if job.pictures]
    require_free([paths.metrics_json, paths.metrics_csv, *pictures], job.overwrite)
    work = partial(_score, blurry, restored, sharp, paths.visualization if job.pictures else None)
    scores = list(in_parallel(work, list(zip(keys, truths, strict=True)), "aligning", job.workers))
    evaluation = Evaluation.of("kohler", keys, scores, _COLUMNS)
    publish_results(paths, [evaluation])
    return evaluation


def read_ground_truth(path: Path) -> NDArray[Any]:
    """The frames in a ``.mat``, (H, W, 3, N) in 0..255.

    Raises:
        UserError: if it is not such a file.
    """
    try:
        content = read_mat(read_file(path, _LARGEST_MAT), _LARGEST_MAT)
    except UserError:
        raise
    except NewerMatError as error:
        hint = f"in MATLAB: save('{path.name}', '{VARIABLE}', '-v7')"
        raise UserError(f"{path}: {error}, which is not supported here; {hint}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as .mat ({error}); fetch it again") from error
    frames = content.get(VARIABLE)
    if frames is None:
        found = ", ".join(content) or "none"
        raise UserError(f"{path}: expected the variable '{VARIABLE}', found {found}; check the folder")
    if frames.ndim != 4 or frames.shape[2] != 3 or 0 in frames.shape or frames.dtype.kind not in "uif":
        found = f"{frames.dtype} {frames.shape}"
        raise UserError(f"{path}: expected frames (H, W, 3, N), found {found}; check the file")
    if frames.max() <= 1:
        raise UserError(f"{path}: expected values in 0..255, the greatest is {frames.max()}; scale them")
    return frames


def _score(
    blurry: DiskStorage,
    restored: DiskStorage,
    sharp: DiskStorage,
    pictures: Path | None,
    item: tuple[str, str],
) -> dict[str, float]:
    key, truth = item
    frames = read_ground_truth(Path(sharp.describe(truth)))
    degraded, image = (_resized(read_unit(storage, key), frames.shape) for storage in (blurry, restored))
    try:
        best = _find_best(image, frames)
        if best is None:
            what = f"matches every frame with {TOO_GOOD:g} dB or more"
            raise UserError(f"{restored.describe(key)}: {what}; is it the ground truth itself?")
        ssim = masked_ssim(best.aligned)
    except ValueError as error:
        raise UserError(f"{restored.describe(key)}: {error}; leave it out") from error
    before = calculate_psnr(degraded, best.sharp)
    if pictures is not None:
        panels = [
            (f"blurry {before:.2f} dB", degraded),
            (f"restored, aligned {best.psnr:.2f} dB, {ssim:.4f}", best.aligned.restored),
            (f"sharp, frame {best.frame + 1} of {frames.shape[3]}", best.sharp),
        ]
        write_png(pictures / f"{key}.png", side_by_side(panels))
    return {"psnr_aligned": best.psnr, "ssim_aligned": ssim, "blurry_psnr": before}


def _find_best(image: Image, frames: NDArray[Any]) -> _Best | None:
    """The first frame with the best PSNR below `TOO_GOOD`; None if there is none."""
    best: _Best | None = None
    for number in range(frames.shape[3]):
        sharp = np.divide(frames[..., number], 255, dtype=np.float32)
        aligned = align(image, sharp)
        psnr = masked_psnr(aligned)
        if psnr < TOO_GOOD and (best is None or psnr > best.psnr):
            best = _Best(number, psnr, sharp, aligned)
    return best


def _resized(image: Image, shape: tuple[int, ...]) -> Image:
    height, width = shape[:2]
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
