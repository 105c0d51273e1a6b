"""Frames of videos, a folder for each, as `basicsr.preparation` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
from tqdm import tqdm

from basicsr.restoration.video import VIDEO_SUFFIXES, video_pictures
from basicsr.utils.display import shown
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import write_atomically
from basicsr.utils.folders import find_files, visible_files
from basicsr.utils.image import Array, write_png
from basicsr.utils.log import logger


@dataclass(frozen=True)
class FrameExtraction:
    """What to do.

    Args:
        videos: files, or folders of them.
        output: gets ``<stem of the video>/00001.png``, ..
        height: of the frames, in pixels, where the video is higher; None keeps its size. The width follows.
        every: keep every n-th frame.
        limit: frames kept of each video, at most; None keeps all.

    Raises:
        OptionError: a number below 1.
    """

    videos: Sequence[Path]
    output: Path
    height: int | None = None
    every: int = 1
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("height", self.height), ("every", self.every), ("limit", self.limit)):
            if value is not None and value < 1:
                raise OptionError(f"--{name}", [f"--{name}: expected 1 or more (got {value})"])


def extract_frames(job: FrameExtraction) -> dict[Path, int]:
    """Write the frames of each video whose folder is not there yet; returns their counts by folder.

    A folder appears when all its frames are written.

    Raises:
        UserError: no video, two with the same folder, or a broken one.
    """
    folders: dict[Path, Path] = {}
    for video in _videos(job.videos):
        folder = job.output / video.stem
        if folder in folders:
            raise UserError(f"{video}: its frames would go where those of {folders[folder]} go; rename one")
        folders[folder] = video
    counts = {}
    for folder, video in folders.items():
        if folder.exists():
            logger().info(f"{folder}: exists, left unchanged")
            continue
        write_atomically(folder, partial(_extract, job, video))
        counts[folder] = len(visible_files(folder, [".png"]))
        logger().info(f"{folder}: {counts[folder]} frames")
    return counts


def _videos(paths: Sequence[Path]) -> list[Path]:
    found = []
    for path in paths:
        inside = find_files(path, VIDEO_SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no video in this folder; check the path")
        found += inside
    return found


def _extract(job: FrameExtraction, video: Path, folder: Path) -> None:
    folder.mkdir()
    kept = islice(video_pictures(video), 0, None if job.limit is None else job.limit * job.every, job.every)
    for number, picture in enumerate(tqdm(kept, shown(video.name), unit="frame", disable=None), start=1):
        write_png(folder / f"{number:05d}.png", _at_height(picture, job.height))


def _at_height(picture: Array, height: int | None) -> Array:
    if height is None or picture.shape[0] <= height:
        return picture
    width = max(round(picture.shape[1] * height / picture.shape[0]), 1)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
