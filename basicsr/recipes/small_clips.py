"""The data for the SmallClips option files: clips of seven frames, filmed from photos.

``frames/train`` and ``frames/test`` hold the sharp frames; `basicsr.preparation.clips.make` makes the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from basicsr.data.clip_metadata import ClipMetadata
from basicsr.preparation.clips.make import ClipJob, make_clips
from basicsr.preparation.pairs.film_photos import FilmJob, film_photos
from basicsr.synthesis import ClipRules

FRAMES = 7
RULES = ClipRules(extent=(4.0, 30.0), bend=0.0, frames=(FRAMES, FRAMES), shutter=(0.1, 0.3), noise=(0.0, 1.0))


@dataclass(frozen=True)
class SmallClips:
    """The job of `make_small_clips`.

    Args:
        output: see the top of this file.
        photos: sharp photos to train on.
        held_photos: sharp photos to test on, one clip each.
        copies: clips of each training photo.
        workers: processes; None is one per core.
    """

    output: Path
    photos: Path
    held_photos: Path
    copies: int = 2
    workers: int | None = None


def make_small_clips(job: SmallClips) -> ClipMetadata:
    """Make the missing files.

    Raises:
        UserError: if folders cannot be used, or photos failed.
    """
    frames = job.output / "frames"
    for partition, photos, copies in (("train", job.photos, job.copies), ("test", job.held_photos, 1)):
        film_photos(FilmJob(photos, frames / partition, RULES, copies, workers=job.workers, clips=True))
    return make_clips(ClipJob(frames, job.output, FRAMES, workers=job.workers))
