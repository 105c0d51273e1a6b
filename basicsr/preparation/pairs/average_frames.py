"""Pairs made like GoPro and REDS: windows of consecutive frames, averaged in linear light."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from basicsr.data.frame_windows import frame_runs
from basicsr.preparation.manifest import claim_folder
from basicsr.preparation.reading import read_bytes
from basicsr.storage import DiskStorage
from basicsr.synthesis.frame_average import (
    Frame,
    ResponseTable,
    Rounding,
    average_frames,
    frame_counts,
    off_center,
)
from basicsr.utils.display import ESCAPED
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.folders import require_outside
from basicsr.utils.image import READABLE, decode_rgb, write_png
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel
from basicsr.utils.rng import sample_generator

PARAMETERS = "params.jsonl"


@dataclass(frozen=True)
class FrameWindows:
    """How long windows are and where they start.

    Args:
        shortest, longest: frames in a window; each draws its own number between them, both included.
        even: whether even numbers are drawn too, see `frame_counts`.
        stride: frames from the start of one window to that of the next; null starts after its last frame.
        seed: of the numbers drawn, which otherwise depend only on the clip's name and the window's position
            in it.

    Raises:
        OptionError: if there are no frames, or a range is decreasing.
    """

    shortest: int
    longest: int
    stride: int | None = None
    seed: int = 0
    even: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise OptionError("--n", [f"--n: expected 1 or more (got {self.shortest}..{self.longest})"])
        if self.stride is not None and self.stride < 1:
            raise OptionError("--stride", [f"--stride: expected 1 or more (got {self.stride})"])

    @classmethod
    def parse(cls, n: str, stride: int | None = None, seed: int = 0, even: bool = False) -> FrameWindows:
        """``n`` is a number, ``8``, or a range, ``7..13``.

        Raises:
            OptionError: if it is neither.
        """
        match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", n)
        if match is None:
            wanted = "a number such as 7 or a range such as 7..13"
            raise OptionError("--n", [f"--n: expected {wanted} (got {n!r})"])
        return cls(int(match[1]), int(match[2] or match[1]), stride, seed, even)

    @property
    def counts(self) -> list[int]:
        """Numbers of frames that a window may have, ascending."""
        return frame_counts(self.shortest, self.longest, self.even)

    def cut(self, clip: str, length: int) -> Iterator[tuple[int, int]]:
        """First frame and number of frames of each window in a clip of ``length`` frames.

        The last one may have to be shorter than drawn.
        """
        start = number = 0
        name, counts = zlib.crc32(os.fsencode(clip)), self.counts
        while start + counts[0] <= length:
            drawn = int(sample_generator(self.seed, name, number).integers(len(counts)))
            count = next(count for count in counts[drawn::-1] if start + count <= length)
            yield start, count
            start += self.stride or count
            number += 1


@dataclass(frozen=True)
class FrameJob:
    """The job of `make_averaged_pairs`.

    Args:
        frames: folder of frames; each subfolder with frames is a clip.
        output: folder for ``input/<key>.png``, ``target/<key>.png``, ``params.jsonl`` and ``manifest.json``;
            the key is that of the window's first frame.
        windows: which frames are averaged.
        gamma: of the frames.
        crf: file for `ResponseTable.from_file`, which then replaces ``gamma``.
        rounding: see `average_frames`.
        overwrite: make all pairs again, and accept changed parameters.
        workers: processes; null is one per core.
    """

    frames: Path
    output: Path
    windows: FrameWindows
    gamma: float = 2.2
    crf: Path | None = None
    rounding: Rounding = "truncate"
    overwrite: bool = False
    workers: int | None = None

    def response(self) -> ResponseTable:
        """The camera's response.

        Raises:
            UserError: if ``crf`` or ``gamma`` cannot be used.
        """
        return ResponseTable.from_gamma(self.gamma) if self.crf is None else ResponseTable.from_file(self.crf)


@dataclass(frozen=True)
class PairCount:
    """Result of a run: clips found, pairs made, pairs that existed already."""

    clips: int
    made: int
    kept: int


@dataclass(frozen=True)
class _Pair:
    """A window and its files; the target is its middle frame, number n // 2 from 0."""

    key: str
    frames: tuple[Path, ...]
    blurred: Path
    sharp: Path

    @property
    def middle(self) -> int:
        return len(self.frames) // 2

    def is_made(self) -> bool:
        return self.blurred.is_file() and self.sharp.is_file()

    def describe(self, folder: Path) -> str:
        names = [path.relative_to(folder).as_posix() for path in self.frames]
        facts = {"key": self.key, "n": len(names), "first": names[0], "last": names[-1]}
        return json.dumps({**facts, "target": names[self.middle]}, ensure_ascii=False)


def make_averaged_pairs(job: FrameJob) -> PairCount:
    """Make the missing pairs.

    Raises:
        UserError: if there are no frames, no window fits, or the output has other parameters. At the end,
            names the frames that are broken.
    """
    response = job.response()
    require_outside(job.output, job.frames)
    if (remark := off_center(job.windows.counts)) is not None:
        logger().warning(f"--n: {remark}")
    clips = find_clips(job.frames)
    pairs = list(_pairs(job, clips))
    if not pairs:
        longest = max(len(paths) for paths in clips.values())
        found = f"no {job.windows.counts[0]} consecutive frames, the longest clip has {longest}"
        raise UserError(f"{job.frames}: {found}; use a smaller --n")
    places = (place for pair in pairs for place in (pair.blurred, pair.sharp))
    claim_folder(job.output, _parameters(job, response), places, job.overwrite)
    missing = pairs if job.overwrite else [pair for pair in pairs if not pair.is_made()]
    made = 0
    try:
        for _ in in_parallel(partial(_make, response, job.rounding), missing, "averaging", job.workers):
            made += 1
    finally:
        lines = [pair.describe(job.frames) + "\n" for pair in pairs if pair.is_made()]
        write_bytes(job.output / PARAMETERS, "".join(lines).encode(errors=ESCAPED))
    return PairCount(len(clips), made, len(pairs) - len(missing))


def find_clips(folder: Path) -> dict[str, list[Path]]:
    """Runs of consecutive frames by the key of their first frame, in order.

    A folder of frames is one run, unless the numbers at the end of their names have gaps. Frames are in the
    order of the numbers in their names, so 10 comes after 9.

    Raises:
        UserError: if there is no such folder, or no frame in it.
    """
    storage = DiskStorage(folder, READABLE)
    runs = frame_runs(storage.keys())
    return {run[0]: [Path(storage.describe(key)) for key in run] for run in runs}


def _pairs(job: FrameJob, clips: dict[str, list[Path]]) -> Iterator[_Pair]:
    for clip, paths in clips.items():
        keys = [path.relative_to(job.frames).with_suffix("").as_posix() for path in paths]
        windows = list(job.windows.cut(clip, len(paths)))
        if not windows:
            logger().warning(f"{paths[0]}: only {len(paths)} consecutive frames start here, left out")
        for start, count in windows:
            blurred, sharp = (job.output / kind / f"{keys[start]}.png" for kind in ("input", "target"))
            yield _Pair(keys[start], tuple(paths[start : start + count]), blurred, sharp)


def _parameters(job: FrameJob, response: ResponseTable) -> dict[str, object]:
    crf = None if job.crf is None else hashlib.sha256(response.light.tobytes()).hexdigest()[:16]
    gamma = job.gamma if job.crf is None else None
    return {"windows": asdict(job.windows), "gamma": gamma, "crf": crf, "rounding": job.rounding}


def _make(response: ResponseTable, rounding: Rounding, pair: _Pair) -> None:
    middle = _read(pair.frames[pair.middle])
    frames = (_read(path, middle.shape) for path in pair.frames)
    blurred = average_frames(frames, response, rounding)
    write_png(pair.sharp, middle)
    write_png(pair.blurred, blurred)


def _read(path: Path, shape: tuple[int, ...] | None = None) -> Frame:
    frame = decode_rgb(read_bytes(path), str(path))
    if frame.dtype != np.uint8:
        raise UserError(f"{path}: has 16 bits per channel, a response is for 8; save the frames with 8")
    if shape is not None and frame.shape != shape:
        sizes = f"{frame.shape[1]}x{frame.shape[0]} pixels, others {shape[1]}x{shape[0]}"
        raise UserError(f"{path}: has {sizes}; put each clip into its own folder")
    return frame
