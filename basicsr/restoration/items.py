"""Which files a user means, and where the result of each goes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from basicsr.restoration.video import VIDEO_SUFFIXES, require_video_suffix, written_video_suffix
from basicsr.utils.errors import UserError
from basicsr.utils.files import require_short_names
from basicsr.utils.folders import find_files, require_outside
from basicsr.utils.image import READABLE
from basicsr.utils.photo_file import require_size, written_suffix

KNOWN = (*READABLE, *VIDEO_SUFFIXES)
MOVING = (".gif", ".webp")
"""Pictures that can hold a clip, beside videos."""


class Item(NamedTuple):
    """A file to restore: its place, where the result goes, and its name in reports."""

    source: Path
    target: Path
    key: str

    @property
    def is_video(self) -> bool:
        return self.source.suffix.lower() in VIDEO_SUFFIXES

    @property
    def mask_key(self) -> str:
        """Its name among masks: without suffix, like the keys of data sets."""
        return str(Path(self.key).with_suffix(""))


def find_items(sources: Sequence[Path], output: Path, is_folder: bool, overwrite: bool = False) -> list[Item]:
    """The files below ``sources``, in their order and sorted within each folder.

    A single folder keeps its structure below ``output``. Where there are several sources, files go directly
    into ``output``, and a folder keeps its own name, too. Files keep their names; types that are only read
    change their suffix (``clip.avi`` becomes ``clip.mp4``, ``photo.heic`` becomes ``photo.png``).

    Args:
        sources: photos, videos, and folders of both.
        output: file, or folder.
        is_folder: whether ``output`` is a folder.
        overwrite: the result of a single file may be there already; those of several are up to the caller.

    Raises:
        UserError: nothing to restore, two results of one name, an output that lies in an input folder or is
            an input, or the result of a single file that is there already, of a type that is not written, or
            larger than its type can hold.
    """
    if is_folder and output.is_file():
        raise UserError(f"{output}: is a file; give -o a folder for the results")
    alone = len(sources) == 1
    if not is_folder and not (alone and not sources[0].is_dir()):
        raise UserError(f"{output}: is one file for several results; name a folder for them")
    named = [pair for source in sources for pair in _files(source, output, alone)]
    items = []
    for source, name in dict.fromkeys(named):
        target = output / name.with_suffix(_suffix_of_result(name)) if is_folder else output
        items.append(Item(source, target, name.as_posix()))
    _require_places(items)
    if alone and not sources[0].is_dir():
        (only,) = items
        if only.is_video:
            require_video_suffix(only.target)
        elif only.target.suffix.lower() == ".webp" or not holds_clip(only.target):
            # a type that changes may hold less than that of the input
            require_size(only.target, *_size_in_header(only.source))
        if only.target.exists() and not overwrite:
            raise UserError(f"{only.target}: exists already; choose another place, or --overwrite")
    return items


def as_clips(items: Sequence[Item], is_folder: bool) -> list[Item]:
    """The same files, with the results of a network that gives clips.

    Videos stay videos. Of a photo a single output can hold the clip (`holds_clip`); else the first frame is
    the result, ``photo/0001.png`` instead of ``photo.jpg``.

    Args:
        is_folder: as for `find_items`.

    Raises:
        UserError: two folders of one name, or a frame that is an input.
    """
    clips = [
        item
        if item.is_video or (not is_folder and holds_clip(item.target))
        else item._replace(target=frame_path(item.target.with_suffix(""), 0))
        for item in items
    ]
    _require_places(clips)
    return clips


def holds_clip(target: Path) -> bool:
    """Whether a file of this name can hold a clip: a video that is written, or one of `MOVING`."""
    suffix = target.suffix.lower()
    return suffix in MOVING or (suffix in VIDEO_SUFFIXES and written_video_suffix(suffix) == suffix)


def frame_path(folder: Path, index: int) -> Path:
    """The file of a frame, counted from 0, in the folder of a clip."""
    return folder / f"{index + 1:04d}.png"


def require_own_masks(items: Sequence[Item], folder: Path, sources: Iterable[Path]) -> None:
    """Check that each photo can have its own mask file in ``folder``; masks of videos are not kept.

    Raises:
        UserError: two photos would share one, a result has that name, or ``folder`` lies in one of
            ``sources``, where the masks would be read as photos.
    """
    for source in sources:
        if source.is_dir():
            require_outside(folder, source)
    results = {item.target.resolve() for item in items}
    first: dict[str, Item] = {}
    for item in items:
        other = item if item.is_video else first.setdefault(item.mask_key, item)
        mask = folder / f"{item.mask_key}.png"
        if other is not item:
            what = f"both would have the mask {mask}"
            raise UserError(f"{other.source} and {item.source}: {what}; rename one, or restore them apart")
        if mask.resolve() in results:
            raise UserError(f"{mask}: would be a result and a mask; keep the masks in another folder")


def _files(source: Path, output: Path, alone: bool) -> list[tuple[Path, Path]]:
    """The files that a source means, and the name of each below the output, with its own suffix."""
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if not source.is_dir():
        if source.suffix.lower() not in KNOWN:
            raise UserError(f"{source}: not a photo or video; readable: {', '.join(KNOWN)}")
        return [(source, Path(source.name))]
    require_outside(output, source)
    paths = find_files(source, KNOWN)
    if not paths:
        raise UserError(f"{source}: no photo or video in it; readable: {', '.join(KNOWN)}")
    below = Path() if alone else Path(os.path.abspath(source)).name
    return [(path, below / path.relative_to(source)) for path in paths]


def _size_in_header(photo: Path) -> tuple[int, int]:
    """Height and width without decoding, 0 if unknown until the photo is read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a large photo is not an attack
            with Image.open(photo) as picture:
                return picture.height, picture.width
    except Exception:  # Pillow's readers raise errors of any kind for a damaged file
        return 0, 0


def _suffix_of_result(name: Path) -> str:
    is_video = name.suffix.lower() in VIDEO_SUFFIXES
    return (written_video_suffix if is_video else written_suffix)(name.suffix)


def _require_places(items: Sequence[Item]) -> None:
    """Check that each result has its own place, with a name that a file can have."""
    _require_distinct(items)
    require_short_names(item.target for item in items)
    inputs = {item.source.resolve() for item in items}
    for item in items:
        if item.target.resolve() in inputs:
            raise UserError(f"{item.target}: is the input itself; choose another place")


def _require_distinct(items: Iterable[Item]) -> None:
    by_target: dict[Path, Item] = {}
    for item in items:
        other = by_target.setdefault(item.target, item)
        if other is not item:
            what = f"both would become {item.target}"
            raise UserError(f"{other.source} and {item.source}: {what}; rename one, or restore them apart")
