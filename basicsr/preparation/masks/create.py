"""From a folder of photos to a folder of label maps: only what is missing, shared among processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap, encode_label_map, from_stack, published_gray
from basicsr.preparation.manifest import Record, RecordFile, claim_folder, identify, lock_shard
from basicsr.preparation.masks.files import (
    KeyedPhoto,
    MaskJob,
    count_regions,
    find_job_photos,
    missing_masks,
)
from basicsr.preparation.photos import read_photo
from basicsr.preparation.reading import read_bytes
from basicsr.segmenters.base import Photo, Segmenter, as_seen, for_photo
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.image import encode_png
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel


@dataclass(frozen=True)
class _Made:
    """The files for one photo, encoded, in the order of `MaskJob.outputs`, and their record."""

    files: list[bytes]
    record: Record


@dataclass
class Counts:
    """What a run did; ``notes`` count photos by what had to be changed in them."""

    made: int = 0
    kept: int = 0
    notes: Counter[str] = field(default_factory=Counter)


def create_masks(job: MaskJob, build: Callable[[], Segmenter], name: str) -> Counts:
    """Make the masks of this shard that are missing or do not agree with their record.

    Args:
        build: makes the segmenter; called when the folders turned out right.
        name: of the segmenter, for manifest and log.

    Raises:
        UserError: folders that cannot be used, changed parameters; or at the end, naming the photos that
            failed.
    """
    photos = find_job_photos(job)
    segmenter = build()
    with ExitStack() as locks:
        for folder in job.outputs:
            locks.callback(lock_shard(folder, *job.shard).release)
        return _create(job, photos, segmenter, name)


def _create(job: MaskJob, photos: list[KeyedPhoto], segmenter: Segmenter, name: str) -> Counts:
    facts = json.loads(json.dumps(segmenter.facts()))
    parameters = {"segmenter": name, "facts": facts, "rule": job.rule}
    for folder in job.outputs:
        targets = (folder / f"{photo.key}.png" for photo in photos)
        claim_folder(folder, parameters, targets, job.overwrite)
    options = ", ".join(f"{key} {value}" for key, value in facts.items() if key != "method")
    logger().info(f"{name}: {facts.get('method', 'segmentation')} ({options}; rule {job.rule})")

    index, count = job.shard
    mine = photos[index::count]
    made_with = identify(parameters)
    missing = mine if job.overwrite else missing_masks(job, mine, made_with)
    counts = Counts(kept=len(mine) - len(missing))
    records = RecordFile(job.output, index, count)
    work = partial(_make, job, segmenter, made_with)
    title = f"{name} masks" if count == 1 else f"{name} masks, shard {index + 1}/{count}"
    try:
        for made in in_parallel(work, missing, title, job.workers, progress=job.progress):
            for place, data in zip(job.places(made.record.key), made.files, strict=True):
                write_bytes(place, data)
            records.append(made.record)
            counts.made += 1
            counts.notes.update(made.record.notes)
    finally:
        for note, number in counts.notes.items():
            logger().info(f"{number} of these photos: {note}")
        logger().info(f"{job.output}: {counts.made} masks made, {counts.kept} there already")
    return counts


def _make(job: MaskJob, segmenter: Segmenter, made_with: str, photo: KeyedPhoto) -> _Made:
    name, data = str(photo.path), read_bytes(photo.path)
    image, notes = read_photo(data, name)
    try:
        labels, gray = _segment(job, for_photo(segmenter, photo.key), as_seen(image, job.rule))
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    except Exception as error:
        if job.debug:
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{name}: the segmenter failed ({reason}); --debug shows where") from error
    files = [encode_label_map(labels, name), *([] if gray is None else [encode_png(gray)])]
    height, width = labels.shape
    return _Made(files, Record(photo.key, height, width, count_regions(labels), notes, len(data), made_with))


def _segment(job: MaskJob, segmenter: Segmenter, image: Photo) -> tuple[LabelMap, NDArray[np.uint8] | None]:
    if job.gray is None:
        return segmenter.labels(image, job.rule), None
    masks = segmenter.masks(image)
    return from_stack(masks, job.rule), published_gray(masks)
