"""Pairs from sharp photos as if a moving camera had filmed them: the missing ones, split among processes.

``input/<name>_<n>.png``, ``target/<name>_<n>.png``, with label maps also ``grouped_masks/<name>_<n>.png``;
``manifest.json`` holds the rules. For clips, the frames are ``<name>_<n>/0001.png``, ..
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from basicsr.masks import read_label_map, write_label_map
from basicsr.preparation.manifest import claim_folder
from basicsr.preparation.photos import find_masks, find_photos, read_photo, require_size_of
from basicsr.preparation.reading import read_bytes
from basicsr.synthesis import ClipRules, filmed_frames, filmed_pair, without_margin
from basicsr.synthesis.frame_average import Frame, off_center
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.folders import require_outside
from basicsr.utils.image import write_png
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel
from basicsr.utils.rng import sample_generator


@dataclass(frozen=True)
class FilmJob:
    """The job of `film_photos`.

    Args:
        sharp: folder of photos, with subfolders.
        output: see the top of this file.
        rules: how clips are made.
        copies: pairs per photo.
        seed: of the random numbers, together with the name of the photo and the number of the pair.
        workers: processes; null is one per core.
        overwrite: make all pairs again, even if they exist.
        clips: write the frames instead of their mean and its target; the rules then need a fixed number of
            frames.
        labels: folder of label maps named like the photos; each is cut like the target, which shows its
            photo unmoved. Not for clips.
    """

    sharp: Path
    output: Path
    rules: ClipRules
    copies: int = 4
    seed: int = 0
    workers: int | None = None
    overwrite: bool = False
    clips: bool = False
    labels: Path | None = None

    def __post_init__(self) -> None:
        least, most = self.rules.frames
        if self.clips and least != most:
            raise OptionError("--frames", [f"--frames: clips need one number of frames (got {least} {most})"])
        if self.clips and self.labels is not None:
            raise OptionError("--labels", ["--labels: clips have no label maps; leave out one of the two"])

    @property
    def folders(self) -> list[str]:
        return ["input", "target", *(["grouped_masks"] if self.labels is not None else [])]

    def places(self, item: _Item) -> Iterator[Path]:
        if self.clips:
            for number in range(1, self.rules.frames[0] + 1):
                yield self.output / f"{item.key}_{item.number}" / f"{number:04d}.png"
            return
        for folder in self.folders:
            yield self.output / folder / f"{item.key}_{item.number}.png"

    def parameters(self) -> dict[str, Any]:
        """What determines the pairs besides the photos; more copies of each are not a change."""
        known: dict[str, Any] = {"seed": self.seed, "rules": self.rules}
        known |= {"clips": True} if self.clips else {}
        known |= {"regions": "labels"} if self.labels is not None else {}
        return dict(msgspec.json.decode(msgspec.json.encode(known)))


@dataclass(frozen=True)
class _Item:
    path: Path
    labels: Path | None
    key: str
    number: int


def film_photos(job: FilmJob) -> int:
    """Make the missing pairs. Returns the number of pairs made.

    Raises:
        UserError: if folders cannot be used, or rules changed. At the end, names the photos that failed.
    """
    photos = find_photos(job.sharp)
    for folder in filter(None, (job.sharp, job.labels)):
        require_outside(job.output, folder)
    maps = None if job.labels is None else find_masks(job.labels, photos, str(job.sharp))
    items = [
        _Item(Path(photos.describe(key)), None if maps is None else Path(maps.describe(key)), key, number)
        for key in photos.keys()  # noqa: SIM118 - not a mapping
        for number in range(job.copies)
    ]
    claim_folder(
        job.output, job.parameters(), (place for item in items for place in job.places(item)), job.overwrite
    )
    if not job.clips and (remark := off_center(job.rules.frame_counts)) is not None:
        logger().warning(f"--frames: {remark}")
    missing = [
        item for item in items if job.overwrite or not all(place.exists() for place in job.places(item))
    ]
    made = sum(1 for _ in in_parallel(partial(_film, job), missing, "filming", job.workers))
    logger().info(f"{job.output}: {made} pairs made, {len(items) - len(missing)} there already")
    return made


def _film(job: FilmJob, item: _Item) -> None:
    photo, _ = read_photo(read_bytes(item.path), str(item.path))
    generator = sample_generator(job.seed, zlib.crc32(os.fsencode(item.key)), item.number)
    try:
        make = filmed_frames if job.clips else filmed_pair
        images: Sequence[Frame] = make(photo, job.rules, generator)
    except ValueError as error:
        raise UserError(f"{item.path}: {error}; leave it out") from error
    places = list(job.places(item))
    if item.labels is not None:
        labels = read_label_map(item.labels)
        require_size_of(photo, str(item.path), labels, str(item.labels))
        write_label_map(places.pop(), without_margin(labels, job.rules.margin))
    for place, image in zip(places, images, strict=True):
        write_png(place, image)
