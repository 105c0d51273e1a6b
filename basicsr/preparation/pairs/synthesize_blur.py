"""From a folder of sharp photos to a folder of pairs: only the missing ones, split among processes.

``input/<name>_<n>.png``, ``target/<name>_<n>.png``, with label maps also ``grouped_masks/<name>_<n>.png``;
``manifest.json`` holds the rules, ``params.jsonl`` a line per pair with the values drawn for it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from basicsr.masks import encode_label_map
from basicsr.preparation.manifest import claim_folder, identify, read_lines, to_line
from basicsr.preparation.pairs.moving_objects import choose, decode_objects, usable_map
from basicsr.preparation.photos import find_masks, find_photos, read_photo, require_size_of
from basicsr.preparation.reading import read_bytes
from basicsr.segmenters import graph_regions
from basicsr.synthesis import Draw, KernelFolder, Preset, draw_pair, make_pair, without_margin
from basicsr.utils.errors import UserError
from basicsr.utils.files import append_line, write_bytes
from basicsr.utils.folders import require_outside
from basicsr.utils.image import encode_png, to_chw, to_tensor
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel
from basicsr.utils.rng import sample_generator

PARAMS = "params.jsonl"


@dataclass(frozen=True)
class SynthesisJob:
    """The job of `synthesize_blur`.

    Args:
        sharp: folder of photos, with subfolders.
        output: see the top of this file.
        rules: how pairs are made.
        labels: folder of masks named like the photos, see `basicsr.preparation.pairs.moving_objects`.
        segment: find the regions by graph-based segmentation; without this and ``labels``, each photo is
            blurred with one kernel.
        copies: pairs per photo.
        seed: of the random numbers, together with the name of the photo and the number of the pair.
        kernels: folder of kernels to draw from; null makes them.
        center_kernels: shift those so that their centroids are in the middle.
        workers: processes; null is one per core.
        overwrite: make all pairs again, even if they exist.
    """

    sharp: Path
    output: Path
    rules: Preset
    labels: Path | None = None
    segment: bool = False
    copies: int = 10
    seed: int = 0
    kernels: Path | None = None
    center_kernels: bool = False
    workers: int | None = None
    overwrite: bool = False

    @property
    def folders(self) -> list[str]:
        has_masks = self.labels is not None or self.segment
        return ["input", "target", *(["grouped_masks"] if has_masks else [])]

    def place(self, folder: str, key: str, number: int) -> Path:
        return self.output / folder / f"{key}_{number}.png"


class PairRecord(msgspec.Struct, frozen=True):
    """A line of ``params.jsonl``.

    Args:
        name: of the pair.
        photo: key of the photo.
        number: of the pair of this photo, from 0.
        draw: the values drawn.
        sources: sizes in bytes of the files it was made from.
        files: sizes in bytes of its files, by folder.
        made_with: identifies the rules in ``manifest.json``.
    """

    name: str
    photo: str
    number: int
    draw: Draw
    sources: list[int]
    files: dict[str, int]
    made_with: str


@dataclass(frozen=True)
class _Photo:
    """A photo, its masks, and the numbers of the pairs to make."""

    key: str
    path: Path
    masks: Path | None
    numbers: tuple[int, ...]

    @property
    def sources(self) -> list[Path]:
        return [self.path] if self.masks is None else [self.path, self.masks]


@dataclass
class Counts:
    """Pairs made, and pairs that existed already."""

    made: int = 0
    kept: int = 0


def synthesize_blur(job: SynthesisJob) -> Counts:
    """Make the pairs that are missing, or that differ in size from their record.

    Raises:
        UserError: if folders cannot be used, or rules changed. At the end, names the photos that failed.
    """
    photos = _find(job)
    kernels = KernelFolder(job.kernels, job.rules.kernel_size, job.center_kernels) if job.kernels else None
    parameters = _parameters(job, kernels)
    targets = (
        job.place(folder, photo.key, number)
        for photo in photos
        for number in photo.numbers
        for folder in job.folders
    )
    claim_folder(job.output, parameters, targets, job.overwrite)
    made_with = identify(parameters)
    missing = photos if job.overwrite else _missing(job, photos, made_with)
    wanted, to_make = (sum(len(photo.numbers) for photo in some) for some in (photos, missing))
    counts = Counts(kept=wanted - to_make)
    records = job.output / PARAMS
    if records.is_file() and records.read_bytes()[-1:] not in (b"\n", b""):
        append_line(records, "")  # ends a line that a power failure left
    work = partial(_make, job, kernels, made_with)
    try:
        for made in in_parallel(work, missing, "blurring", job.workers):
            for record in made:
                append_line(records, to_line(record))
            counts.made += len(made)
    finally:
        logger().info(f"{job.output}: {counts.made} pairs made, {counts.kept} there already")
    return counts


def read_pair_records(folder: Path) -> dict[str, PairRecord]:
    """The last record of each pair by its name; lines that are cut short or damaged are skipped."""
    path = folder / PARAMS
    return {record.name: record for record in read_lines(path, PairRecord)} if path.is_file() else {}


def _find(job: SynthesisJob) -> list[_Photo]:
    storage = find_photos(job.sharp)
    keys = storage.keys()
    masks = None if job.labels is None else find_masks(job.labels, storage, str(job.sharp))
    for folder in filter(None, (job.sharp, job.labels)):
        require_outside(job.output, folder)
    return [
        _Photo(
            key,
            Path(storage.describe(key)),
            None if masks is None else Path(masks.describe(key)),
            tuple(range(job.copies)),
        )
        for key in keys
    ]


def _parameters(job: SynthesisJob, kernels: KernelFolder | None) -> dict[str, Any]:
    """What determines the pairs besides the photos; more copies of each are not a change."""
    files = None if kernels is None else {"files": kernels.fingerprint(), "centred": kernels.center}
    regions = "labels" if job.labels is not None else "graph" if job.segment else None
    parameters = {"seed": job.seed, "regions": regions, "kernels": files, "rules": job.rules}
    return dict(msgspec.json.decode(msgspec.json.encode(parameters)))


def _missing(job: SynthesisJob, photos: list[_Photo], made_with: str) -> list[_Photo]:
    records = read_pair_records(job.output)

    def is_complete(photo: _Photo, number: int, sources: list[int]) -> bool:
        record = records.get(f"{photo.key}_{number}")
        if record is None or record.made_with != made_with or record.sources != sources:
            return False
        places = {folder: job.place(folder, photo.key, number) for folder in job.folders}
        found = {folder: place.stat().st_size for folder, place in places.items() if place.is_file()}
        return found == record.files

    left = []
    for photo in photos:
        sources = [path.stat().st_size for path in photo.sources]
        numbers = tuple(number for number in photo.numbers if not is_complete(photo, number, sources))
        if numbers:
            left.append(_Photo(photo.key, photo.path, photo.masks, numbers))
    return left


def _make(job: SynthesisJob, kernels: KernelFolder | None, made_with: str, photo: _Photo) -> list[PairRecord]:
    """Write the pairs of a photo, with one thread, since other processes handle the other photos."""
    name, data = str(photo.path), read_bytes(photo.path)
    image, _ = read_photo(data, name)
    size, (height, width) = job.rules.kernel_size, image.shape[:2]
    if min(height, width) < size:
        raise UserError(f"{name}: has {width}x{height} pixels, the kernels {size}x{size}; leave it out")
    sources, objects, labels = [len(data)], None, None
    if photo.masks is not None:
        mask_data = read_bytes(photo.masks)
        sources.append(len(mask_data))
        objects = decode_objects(mask_data, str(photo.masks))
        labels = usable_map(objects, job.rules)
    elif job.segment:
        objects = labels = graph_regions(image)
    if labels is not None:
        require_size_of(image, name, labels, str(photo.masks))
    sharp = to_tensor(to_chw(image))
    records = []
    for number in photo.numbers:
        generator = sample_generator(job.seed, zlib.crc32(os.fsencode(photo.key)), number)
        if objects is None or labels is None:
            regions, planes = list[int](), np.zeros((0, height, width), np.bool_)
        else:
            regions, planes = choose(objects, labels, job.rules, generator)
        draw, made = draw_pair(job.rules, regions, generator, kernels)
        with _one_thread():
            pair = make_pair(sharp, torch.from_numpy(planes), torch.from_numpy(made).float(), draw)
        files = [encode_png(side.permute(1, 2, 0).contiguous().numpy()) for side in pair]
        if labels is not None:
            files.append(encode_label_map(without_margin(labels, size // 2)))
        for folder, content in zip(job.folders, files, strict=True):
            write_bytes(job.place(folder, photo.key, number), content)
        lengths = dict(zip(job.folders, map(len, files), strict=True))
        pair_name = f"{photo.key}_{number}"
        records.append(PairRecord(pair_name, photo.key, number, draw, sources, lengths, made_with))
    return records


@contextmanager
def _one_thread() -> Iterator[None]:
    """Other cores process other photos, and sums do not depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
