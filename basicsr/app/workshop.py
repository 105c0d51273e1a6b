"""What happens behind the page: choices become a restored file, a comparison and a command line."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from uuid import uuid4

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.archs.base import RestorationNetwork
from basicsr.config.segmenter_choice import SegmenterChoice
from basicsr.masks import LabelMap, Overlap
from basicsr.masks.pictures import Picture, overlay
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.restoration.blend import Place
from basicsr.restoration.folder import RestoreJob, restore_all
from basicsr.restoration.items import as_clips, find_items
from basicsr.restoration.regions import RegionFinder
from basicsr.restoration.video import VIDEO_SUFFIXES, video_facts, video_pictures, written_video_suffix
from basicsr.restoration.weights import find_weights, load_any
from basicsr.segmenters import Empty, Graph
from basicsr.segmenters.base import Segmenter
from basicsr.utils.errors import UserError
from basicsr.utils.extras import version_of
from basicsr.utils.image import to_8_bit
from basicsr.utils.photo_file import PhotoFile, read_photo_file, write_photo_file, written_suffix
from basicsr.utils.photo_metadata import Metadata
from basicsr.utils.pixel_limit import MAX_PIXELS, PixelLimit
from basicsr.utils.shipped import fetched_weights, shipped_weights
from basicsr.utils.user_cache import user_cache

Masks = Literal["graph", "own", "none"]
Tell = Callable[[float, str], None]

_LONGEST_NAME = 80
_VIEW_SIDE = 1000  # pixels of the view of regions
_MINUTE = 60


@dataclass(frozen=True)
class Setup:
    """What the command line of the page fixes for all its visitors.

    Args:
        folder: for masks, results and what the page shows; nothing is written elsewhere.
        weights: files offered in addition to the bundled and the fetched ones.
        segmenter: offered as a source of masks; None offers only the classical one.
        segmenter_words: options of ``sam-deblur restore`` that select the same segmenter.
        rule: see `basicsr.masks.from_stack`.
        tile, device: see `RestoreOptions`.
        max_pixels: of a photo or video frame.
    """

    folder: Path
    weights: tuple[str, ...] = ()
    segmenter: SegmenterChoice | None = None
    segmenter_words: tuple[str, ...] = ()
    rule: Overlap = "exact"
    tile: int | Literal["auto"] = "auto"
    device: str = "auto"
    max_pixels: int = MAX_PIXELS

    @property
    def limit(self) -> PixelLimit:
        """Of the pixels of a photo or video frame."""
        return PixelLimit(self.max_pixels, "cut it into parts, or start the page with a larger --max_pixels")

    def offered(self) -> list[str]:
        """Weights to choose from: bundled ones, fetched ones, those of the command line."""
        return [*shipped_weights(), *fetched_weights(), *self.weights]


@dataclass(frozen=True)
class Choices:
    """What a visitor chooses on the page.

    Args:
        weights: short name or file, as ``--weights`` takes it.
        masks: of the classical segmenter, of `Setup.segmenter`, or none.
        strength: see `RestoreOptions`.
        ensemble: see `RestoreOptions`.
        only: see `RestoreJob`.
    """

    weights: str
    masks: Masks = "graph"
    strength: float = 1.0
    ensemble: bool = False
    only: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        if self.only and self.masks == "none":
            raise UserError("'Only here' needs regions; choose other masks")


@dataclass(frozen=True)
class Result:
    """A restored file.

    Args:
        source: uploaded file.
        place: path of the result.
        before, after: full-size PNG files for browsers; the first frame of videos and clips.
        size: their width and height.
        notes: remarks on the restoration.
        command: makes the same file when run in the photo's folder.
    """

    source: Path
    place: Path
    before: Path
    after: Path
    size: tuple[int, int]
    notes: tuple[str, ...]
    command: str

    @property
    def is_clip(self) -> bool:
        """Whether it moves."""
        return self.place.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class Outcome:
    """Results of several files, and a line for each that failed; if cancelled, the rest is missing."""

    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_cancelled: bool = False


@dataclass(frozen=True)
class View:
    """A photo with its regions, small enough to be shown.

    Args:
        photo: uint8 (h, w, 3) RGB.
        labels: label map (h, w).
        size: width and height of the photo itself.
    """

    photo: Picture
    labels: LabelMap
    size: tuple[int, int]

    def place_at(self, x: int, y: int) -> Place:
        """The photo pixel at the center of a view pixel."""
        height, width = self.labels.shape
        return int(_middles(width, self.size[0])[x]), int(_middles(height, self.size[1])[y])

    def toggled(self, places: Sequence[Place], place: Place) -> tuple[Place, ...]:
        """``places`` without those in the region of ``place`` or, where there are none, with ``place``."""
        others = tuple(other for other in places if self._region(other) != self._region(place))
        return others if len(others) < len(places) else (*others, place)

    def drawn(self, places: Sequence[Place]) -> Picture:
        """The regions in colors; where some are chosen, the rest is dark."""
        picture = overlay(self.photo, self.labels)
        if places:
            chosen = np.isin(self.labels, [self._region(place) for place in places])
            picture[~chosen] = self.photo[~chosen] // 3
            picture[chosen] = self.photo[chosen]
        return picture

    def _region(self, place: Place) -> int:
        height, width = self.labels.shape
        column, row = _middles(self.size[0], width)[place[0]], _middles(self.size[1], height)[place[1]]
        return int(self.labels[row, column])


class Workshop:
    """Restores uploaded files one after the other. It keeps one network in memory, the last one.

    Args:
        setup: what the command line fixes.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._net: tuple[Path, RestorationNetwork] | None = None
        self._segmenters: dict[Masks, Segmenter] = {"graph": Graph(), "none": Empty()}

    def takes_masks(self, weights: str) -> bool:
        """Whether the network of these weights is guided by masks."""
        net = self._network(weights)
        return net.takes_labels or "mask" in net.image_inputs

    def look(self, source: Path, masks: Masks) -> View:
        """The regions of a photo, or of the first frame of a video."""
        photo = to_8_bit(_first_picture(source, self.setup.limit).image)
        labels = self._finder(masks).labels(photo, source.stem)
        height, width = photo.shape[:2]
        scale = min(1.0, _VIEW_SIDE / max(width, height))
        columns = _middles(max(1, round(width * scale)), width)
        rows = _middles(max(1, round(height * scale)), height)
        small = cv2.resize(photo, (len(columns), len(rows)), interpolation=cv2.INTER_AREA)
        return View(small.astype(np.uint8), labels[np.ix_(rows, columns)], (width, height))

    def restore(
        self,
        sources: Sequence[Path],
        choices: Choices,
        folder: Path,
        tell: Tell,
        is_cancelled: Callable[[], bool],
    ) -> Outcome:
        """Restore files into ``folder``; broken ones are named, the others are restored.

        Args:
            tell: called with the share that is done and a status line.
            is_cancelled: asked before each tile.

        Raises:
            UserError: nothing to restore, or choices that do not fit each other or the weights.
        """
        if not sources:
            raise UserError("Choose a photo or a video first")
        if choices.only and len(sources) > 1:
            raise UserError("'Only here' is for one photo; remove the others, or clear it")
        progress = _Progress(tell, is_cancelled, len(sources))
        restorer = Restorer(
            self._network(choices.weights),
            RestoreOptions(
                self.setup.tile,
                ensemble=choices.ensemble,
                amp="auto",
                device=self.setup.device,
                strength=choices.strength,
                cache=user_cache("precision"),
            ),
            progress.on_tile,
        )
        finder = None
        if choices.only or restorer.wants_labels or restorer.wants_mask:
            finder = self._finder(choices.masks)
        results: list[Result] = []
        problems: list[str] = []
        try:
            for source in sources:
                try:
                    progress.begin(source.name, self._frames(source))
                    results.append(self._restored(source, choices, folder, restorer, finder))
                except UserError as error:
                    problems.append(str(error).replace(str(source), source.name))
        except _Cancelled:
            return Outcome(results, problems, is_cancelled=True)
        return Outcome(results, problems)

    def _restored(
        self,
        source: Path,
        choices: Choices,
        folder: Path,
        restorer: Restorer,
        finder: RegionFinder | None,
    ) -> Result:
        run = folder / uuid4().hex
        is_video = source.suffix.lower() in VIDEO_SUFFIXES
        name = safe_name(source.name)
        target = run / Path(name).with_suffix(_suffix_of_result(name, restorer.gives_clip))
        items = find_items([source], target, is_folder=False)
        if restorer.gives_clip:
            items = as_clips(items, is_folder=False)
        job = RestoreJob(target, is_folder=False, limit=self.setup.limit, only=choices.only)
        (shown,) = restore_all(items, job, restorer, finder)
        before, after = run / "before" / "before.png", run / "after" / "after.png"
        photo = _first_picture(source, self.setup.limit)
        height, width = photo.image.shape[:2]
        _write_preview(before, photo)
        _write_preview(after, _first_picture(target, self.setup.limit))
        notes = shown.notes
        if is_video or restorer.gives_clip:
            notes = [*notes, "the slider shows the first frame"]
        command = command_line(name, target.name, choices, self.setup)
        return Result(source, target, before, after, (width, height), tuple(notes), command)

    def _frames(self, source: Path) -> int:
        """Number of pictures in a file; 0 if unknown."""
        if source.suffix.lower() not in VIDEO_SUFFIXES:
            return 1
        return video_facts(source, self.setup.limit).frames or 0

    def _network(self, weights: str) -> RestorationNetwork:
        path = find_weights(weights)
        if self._net is None or self._net[0] != path:
            self._net = None  # free the old one before loading the new one
            try:
                self._net = path, load_any(path)
            except UserError as error:  # do not show where uploads are kept
                raise UserError(str(error).replace(str(path), path.name)) from error
        return self._net[1]

    def _finder(self, masks: Masks) -> RegionFinder:
        if masks not in self._segmenters:
            assert self.setup.segmenter is not None
            self._segmenters[masks] = self.setup.segmenter.build()
        return RegionFinder(self._segmenters[masks], self.setup.rule, self.setup.folder / "masks")


def command_line(name: str, result: str, choices: Choices, setup: Setup) -> str:
    """The ``sam-deblur restore`` command that makes the same file.

    Args:
        name: of the photo.
        result: name of the result.
    """
    is_known = choices.weights in setup.offered()
    words = ["-i", name, "-o", f"out/{result}"]
    words += ["--weights", choices.weights if is_known else safe_name(Path(choices.weights).name)]
    if choices.masks == "none":
        words.append("--no_masks")
    if choices.masks == "own":
        words += setup.segmenter_words
    if setup.rule != "exact":
        words += ["--rule", setup.rule]
    if choices.only:
        words += ["--only", *(f"{x},{y}" for x, y in choices.only)]
    if choices.strength != 1:
        words += ["--strength", f"{choices.strength:g}"]
    if choices.ensemble:
        words.append("--ensemble")
    for flag, value, default in (
        ("--tile", setup.tile, "auto"),
        ("--device", setup.device, "auto"),
        ("--max_pixels", setup.max_pixels, MAX_PIXELS),
    ):
        if value != default:
            words += [flag, str(value)]
    return shlex.join(["sam-deblur", "restore", *words])


def safe_name(name: str) -> str:
    """A file name that is safe in shells, pages and file systems.

    Letters, digits, ``.``, ``-`` and ``_`` stay, a run of others becomes ``_``; long names are cut before
    their suffix.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = re.sub(r"[^\w.-]+", "_", last).strip("._-").rpartition(".")
    while len(stem.encode()) > _LONGEST_NAME:
        stem = stem[:-1]
    return f"{stem}{dot}{suffix[:8]}" or "photo"


def remaining(seconds: float) -> str:
    """The remaining time in words."""
    if seconds < _MINUTE:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / _MINUTE)} min left"


class _Cancelled(BaseException):
    """Cancel was pressed; not an Exception, so no file counts as broken."""


class _Progress:
    """Progress over several files, counted in files, frames and tiles."""

    def __init__(self, tell: Tell, is_cancelled: Callable[[], bool], count: int) -> None:
        self._tell = tell
        self._is_cancelled = is_cancelled
        self._count = count
        self._file = 0
        self._started = time.monotonic()

    def begin(self, name: str, frames: int) -> None:
        """Start the next file; 0 frames is an unknown number."""
        self._file += 1
        self._name, self._frames, self._frame = name, frames, 0

    def on_tile(self, done: int, number: int) -> None:
        """For `Restorer`."""
        if self._is_cancelled():
            raise _Cancelled
        tiles = self._frame + done / number
        share = (self._file - 1 + (min(1.0, tiles / self._frames) if self._frames else 0)) / self._count
        words = [self._name if self._count == 1 else f"{self._name} ({self._file} of {self._count})"]
        if self._frames != 1:
            words.append(f"frame {self._frame + 1}" + (f" of {self._frames}" if self._frames else ""))
        if number > 1:
            words.append(f"tile {min(done + 1, number)} of {number}")
        if 0 < share < 1:
            spent = time.monotonic() - self._started
            words.append(remaining(spent / share - spent))
        self._frame += done == number
        self._tell(share, ", ".join(words))


def _middles(count: int, others: int) -> NDArray[np.intp]:
    """For each of ``count`` pixels of a row, which of ``others`` has its center; rows have equal length."""
    return (2 * np.arange(count) + 1) * others // (2 * count)


def _suffix_of_result(name: str, gives_clip: bool) -> str:
    suffix = Path(name).suffix
    if suffix.lower() in VIDEO_SUFFIXES:
        return written_video_suffix(suffix)
    if gives_clip:
        return ".gif" if version_of("av") is None else ".mp4"
    return written_suffix(suffix)


def _first_picture(path: Path, limit: PixelLimit) -> PhotoFile:
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return read_photo_file(path, limit)
    frames: Iterator[Picture] = video_pictures(path, limit)
    return PhotoFile(next(frames), None, False, "PNG", True, Metadata(), ())


def _write_preview(place: Path, photo: PhotoFile) -> None:
    """PNG with 8 bits, upright, with the color profile and nothing else."""
    image = to_8_bit(photo.image)
    alpha = None if photo.alpha is None else to_8_bit(photo.alpha)
    shown = replace(photo, image=image, alpha=alpha, metadata=Metadata(icc=photo.metadata.icc))
    write_photo_file(place, shown, image)
