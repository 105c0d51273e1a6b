"""The files of a run that makes masks: where they are, and which of them have to be made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basicsr.masks import Overlap, read_label_map
from basicsr.preparation.manifest import Record, read_records
from basicsr.preparation.photos import find_photos
from basicsr.preparation.reading import read_bytes
from basicsr.utils.errors import UserError
from basicsr.utils.folders import require_outside
from basicsr.utils.image import decode_single
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel


@dataclass(frozen=True)
class MaskJob:
    """What to do.

    Args:
        photos: folder of photos, with subfolders.
        output: gets ``<key>.png``, a label map, for each photo, and the manifest.
        rule: what a pixel under several masks belongs to, see `basicsr.masks.from_stack`. By ``published``
            the segmenter sees the photo as BGR, which is how SAM-Deblur's masks were made.
        gray: gets ``<key>.png``, SAM-Deblur's grey mask image, too; null writes none.
        shard: this process (from 0) and how many share the photos.
        overwrite: make all masks again, whatever is there.
        workers: processes of this shard, null is one a core; a segmenter on a GPU wants 1.
        debug: stop at the first error of the segmenter, with its traceback.
        progress: show progress bars.
    """

    photos: Path
    output: Path
    rule: Overlap = "exact"
    gray: Path | None = None
    shard: tuple[int, int] = (0, 1)
    overwrite: bool = False
    workers: int | None = 1
    debug: bool = False
    progress: bool = True

    @property
    def outputs(self) -> list[Path]:
        return [self.output] if self.gray is None else [self.output, self.gray]

    def places(self, key: str) -> list[Path]:
        """The files for a photo, in the order of `outputs`."""
        return [folder / f"{key}.png" for folder in self.outputs]


@dataclass(frozen=True)
class KeyedPhoto:
    """A photo; ``key`` is its path below the folder without suffix."""

    key: str
    path: Path


def find_job_photos(job: MaskJob) -> list[KeyedPhoto]:
    """All photos of the job, sorted by key.

    Raises:
        UserError: no photos, two with one key, an output inside the input, or two outputs in one folder.
    """
    storage = find_photos(job.photos)
    for folder in job.outputs:
        require_outside(folder, job.photos)
    if job.gray is not None and job.gray.resolve() == job.output.resolve():
        raise UserError(f"{job.gray}: label maps and grey images have the same names; take two folders")
    keys = storage.keys()
    return [KeyedPhoto(key, Path(storage.describe(key))) for key in keys]


def missing_masks(job: MaskJob, photos: Sequence[KeyedPhoto], made_with: str) -> list[KeyedPhoto]:
    """The photos whose files are not there, or are not what a record of these parameters says."""
    records = read_records(job.output)
    recorded = [
        (photo, [record for record in records.get(photo.key, []) if record.made_with == made_with])
        for photo in photos
    ]
    to_check = [
        (photo, found)
        for photo, found in recorded
        if found and all(place.is_file() for place in job.places(photo.key))
    ]
    done = set()
    for (photo, _), mistake in zip(to_check, _check(job, to_check), strict=True):
        if mistake is None:
            done.add(photo)
        else:
            logger().warning(f"{mistake}; made again")
    return [photo for photo in photos if photo not in done]


def _check(job: MaskJob, to_check: Sequence[tuple[KeyedPhoto, list[Record]]]) -> Iterator[str | None]:
    return in_parallel(partial(_mistake_in, job), to_check, "checking", job.workers, progress=job.progress)


def _mistake_in(job: MaskJob, recorded: tuple[KeyedPhoto, list[Record]]) -> str | None:
    """How the files for a photo differ from all its records; null if they do not."""
    photo, records = recorded
    first, *others = job.places(photo.key)
    try:
        labels = read_label_map(first)
        sizes = {labels.shape, *(decode_single(read_bytes(place), str(place)).shape for place in others)}
    except UserError as error:
        return str(error)
    found = (*labels.shape, count_regions(labels), photo.path.stat().st_size)
    expected = [(record.height, record.width, record.regions, record.photo_bytes) for record in records]
    agrees = len(sizes) == 1 and found in expected
    return None if agrees else f"{first}: differs from its record, or {photo.path} changed"


def count_regions(labels: NDArray[Any]) -> int:
    """Distinct ids >= 1 in a label map."""
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))
