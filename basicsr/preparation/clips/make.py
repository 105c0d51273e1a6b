"""Clips from sharp video frames: blurred photos, the frames of each, and ``metadata.json``.

``<clip>/blur/0000.png``, ``<clip>/sharp/0000_1.png``, .., the layout of HyperCUT; ``manifest.json`` holds the
parameters. Downloads that already have this layout (RB2V, B-AIST++) only need ``metadata.json``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from basicsr.data.clip_metadata import (
    METADATA,
    PARTITIONS,
    Clip,
    ClipMetadata,
    Partition,
    read_clip_metadata,
)
from basicsr.data.frame_windows import frame_windows
from basicsr.preparation.manifest import claim_folder
from basicsr.preparation.reading import read_bytes
from basicsr.storage import DiskStorage
from basicsr.synthesis.frame_average import Frame, ResponseTable, average_frames
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.folders import find_files, require_outside
from basicsr.utils.image import READABLE, decode_rgb, write_png
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel
from basicsr.utils.rng import permutation

_BOXES = (".pkl", ".json")


@dataclass(frozen=True)
class Shares:
    """How clips are split into partitions: as a whole, never frames of one clip into two partitions.

    A top folder whose name starts with ``train``, ``val`` or ``test`` determines the partition, as in REDS.

    Args:
        val, test: share of the other clips; with three or more clips at least one each, if the share is not
            0.
        seed: of the assignment.

    Raises:
        OptionError: if nothing is left for training.
    """

    val: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.val, self.test) < 0 or self.val + self.test >= 1:
            shares = f"{self.val:g} and {self.test:g}"
            raise OptionError("--val", [f"--val and --test: expected shares that leave some (got {shares})"])

    def deal(self, clips: Sequence[str]) -> dict[str, Partition]:
        """The partition of each clip."""
        found: dict[str, Partition] = {}
        for clip in clips:
            first = PurePosixPath(clip).parts[0].lower()
            named = next((name for name in PARTITIONS if first.startswith(name)), None)
            if named is not None:
                found[clip] = named
        others = sorted(clip for clip in clips if clip not in found)
        drawn = [others[place] for place in permutation(self.seed, 0, len(others))]
        val, test = (self._count(share, len(drawn)) for share in (self.val, self.test))
        for place, clip in enumerate(drawn):
            found[clip] = "val" if place < val else "test" if place < val + test else "train"
        return found

    @staticmethod
    def _count(share: float, clips: int) -> int:
        return max(round(share * clips), 1) if share and clips >= 3 else 0


@dataclass(frozen=True)
class ClipJob:
    """The job of `make_clips`.

    Args:
        frames: folder of sharp frames, a folder for each clip.
        output: see the top of this file.
        count: frames per clip of the data set.
        gap: distance from one of them to the next; all between the first and the last are averaged.
        stride: distance from the first frame of a clip to that of the next; None starts after the last frame.
        gamma: of the frames.
        shares: of the partitions.
        workers: processes; None is one per core.
        overwrite: make all again, even if they exist.
    """

    frames: Path
    output: Path
    count: int = 7
    gap: int = 1
    stride: int | None = None
    gamma: float = 2.2
    shares: Shares = Shares()
    workers: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (
            ("frames", self.count, 2),
            ("gap", self.gap, 1),
            ("stride", self.stride, 1),
        ):
            if value is not None and value < least:
                raise OptionError(f"--{name}", [f"--{name}: expected {least} or more (got {value})"])

    def parameters(self) -> dict[str, Any]:
        """The parameters that determine the pictures; the shares only affect `METADATA`."""
        return {"frames": self.count, "gap": self.gap, "stride": self.stride, "gamma": self.gamma}


@dataclass(frozen=True)
class _Item:
    """One clip of the data set; ``sharp`` are those of ``window`` that are kept."""

    clip: Clip
    window: tuple[Path, ...]
    gap: int

    def places(self, output: Path) -> list[Path]:
        return [output / path for path in (self.clip.blur, *self.clip.frames)]


def make_clips(job: ClipJob) -> ClipMetadata:
    """Make the missing clips, and `METADATA`; an ``order`` that it already has is kept.

    Raises:
        UserError: if there are no frames, no clip is long enough, or the output has other parameters. At the
            end, names frames that are broken.
    """
    response = ResponseTable.from_gamma(job.gamma)
    require_outside(job.output, job.frames)
    storage = DiskStorage(job.frames, READABLE)
    windows = frame_windows(storage.keys(), job.count, job.gap, job.stride)
    if not windows:
        length = (job.count - 1) * job.gap + 1
        raise UserError(f"{job.frames}: no clip has {length} consecutive frames; use fewer --frames")
    items = list(_items(job, windows, storage))
    places = [place for item in items for place in item.places(job.output)]
    claim_folder(job.output, job.parameters(), places, job.overwrite)
    missing = [
        item
        for item in items
        if job.overwrite or not all(place.exists() for place in item.places(job.output))
    ]
    made = sum(1 for _ in in_parallel(partial(_make, job.output, response), missing, "clips", job.workers))
    metadata = ClipMetadata(job.output.name, job.count, [item.clip for item in items])
    logger().info(f"{job.output}: {made} clips made, {len(items) - len(missing)} there already")
    return write_metadata(metadata, job.output)


def scan_clips(folder: Path, shares: Shares = Shares()) -> ClipMetadata:
    """Write `METADATA` for a folder that already has the layout; an ``order`` that it already has is kept.

    Boxes are files ``<clip>/bbox/0000.pkl`` (or ``.json``).

    Raises:
        UserError: if there are no such clips, or clips differ in the number of frames.
    """
    photos = [path for path in find_files(folder, READABLE) if path.parent.name == "blur"]
    if not photos:
        what = "has no <clip>/blur/0000.png; name an output folder to make clips from sharp frames"
        raise UserError(f"{folder}: {what}")
    sharp: dict[Path, dict[str, list[Path]]] = {}
    clips = []
    parents = sorted({photo.parent.parent.relative_to(folder).as_posix() for photo in photos})
    dealt = shares.deal(parents)
    for photo in photos:
        home = photo.parent.parent
        if home not in sharp:
            sharp[home] = _frames_by_number(home / "sharp")
        frames = sharp[home].get(photo.stem, [])
        parent = home.relative_to(folder).as_posix()
        box = next((path for end in _BOXES if (path := home / "bbox" / f"{photo.stem}{end}").is_file()), None)
        paths = [path.relative_to(folder).as_posix() for path in (photo, *frames)]
        where = None if box is None else box.relative_to(folder).as_posix()
        name = f"{parent}/{photo.stem}"
        clips.append(Clip(name, "ignore", dealt[parent], paths[0], tuple(paths[1:]), where))
    counts = Counter(len(clip.frames) for clip in clips)
    usual, _ = counts.most_common(1)[0]
    odd = [clip for clip in clips if len(clip.frames) != usual]
    if odd or not usual:
        found = f"{len(odd[0].frames) if odd else 0} frames"
        name = (odd or clips)[0].id
        what = f"{name} has {found}, others {usual}" if odd else f"{name} has no sharp/ frames"
        raise UserError(f"{folder}: {what}; complete it, or remove it")
    return write_metadata(ClipMetadata(folder.resolve().name, usual, clips), folder)


def write_metadata(metadata: ClipMetadata, folder: Path) -> ClipMetadata:
    """Write `METADATA` into a folder; an ``order`` in an earlier file is kept."""
    path = folder / METADATA
    known = {clip.id: clip.order for clip in read_clip_metadata(path).clips} if path.exists() else {}
    clips = [replace(clip, order=known.get(clip.id, clip.order)) for clip in metadata.clips]
    metadata = replace(metadata, clips=clips)
    metadata.write(path)
    counts = Counter(clip.partition for clip in clips)
    logger().info(f"{path}: " + ", ".join(f"{counts[name]} {name}" for name in PARTITIONS))
    return metadata


def _items(job: ClipJob, windows: Mapping[str, Sequence[str]], storage: DiskStorage) -> Iterator[_Item]:
    parents = {key: str(PurePosixPath(key).parent) for key in windows}
    names = {parent: job.frames.resolve().name if parent == "." else parent for parent in parents.values()}
    dealt = job.shares.deal(sorted(set(names.values())))
    seen: Counter[str] = Counter()
    for key, window in windows.items():
        parent = names[parents[key]]
        number = f"{seen[parent]:04d}"
        seen[parent] += 1
        frames = tuple(f"{parent}/sharp/{number}_{place}.png" for place in range(1, job.count + 1))
        clip = Clip(f"{parent}/{number}", "ignore", dealt[parent], f"{parent}/blur/{number}.png", frames)
        yield _Item(clip, tuple(Path(storage.describe(name)) for name in window), job.gap)


def _make(output: Path, response: ResponseTable, item: _Item) -> None:
    frames: list[Frame] = [_read(path) for path in item.window]
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        raise UserError(f"{item.window[0]}: frames of one clip differ in size; put each clip into a folder")
    blurred, *sharp = item.places(output)
    for place, frame in zip(sharp, frames[:: item.gap], strict=True):
        write_png(place, frame)
    write_png(blurred, average_frames(frames, response, "nearest"))


def _read(path: Path) -> Frame:
    frame = decode_rgb(read_bytes(path), str(path))
    if frame.dtype != np.uint8:
        raise UserError(f"{path}: has 16 bits per channel, a response is for 8; save the frames with 8")
    return frame


def _frames_by_number(folder: Path) -> dict[str, list[Path]]:
    """``0000_1.png``, ``0000_2.png``, .. of a folder by the part before the frame number, in order."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in find_files(folder, READABLE) if folder.is_dir() else []:
        stem, _, number = path.stem.rpartition("_")
        if number.isdigit():
            found.setdefault(stem, []).append((int(number), path))
    return {stem: [path for _, path in sorted(paths)] for stem, paths in found.items()}
