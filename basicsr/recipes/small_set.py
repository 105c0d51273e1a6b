"""The data for the Small option files: synthesized blur and real pairs with masks.

Layout below the output folder: ``train``; for all choices, ``val_synthetic``, ``val_filmed`` and a folder for
each set of validation pairs; for one look at the end, ``synthetic`` and a folder for each set of held-out
pairs. Each has ``input``, ``target``, ``grouped_masks`` and ``input_mask``. ``parts`` holds what they are
made from, by kind; all crops of one photo come from there. Training images are crops or whole pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
from msgspec.structs import replace

from basicsr.preparation.layouts.crop_patches import CropWindows, crop_folder
from basicsr.preparation.layouts.place_pairs import place_file
from basicsr.preparation.masks.create import create_masks
from basicsr.preparation.masks.files import MaskJob
from basicsr.preparation.pairs.film_photos import FilmJob, film_photos
from basicsr.preparation.pairs.synthesize_blur import SynthesisJob, synthesize_blur
from basicsr.segmenters.graph import Graph
from basicsr.storage import DiskStorage
from basicsr.synthesis import PRESETS, ClipRules, Preset
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.files import require_short_names
from basicsr.utils.image import READABLE, read_rgb, write_png
from basicsr.utils.parallel import in_parallel

FIELDS = ("input", "target", "grouped_masks", "input_mask")
WINDOWS = CropWindows(192, 113)


@dataclass(frozen=True)
class Blur:
    """A kind of synthesized blur.

    Args:
        rules: how pairs are made.
        copies: pairs of each photo.
        objects: whether objects move.
        scale: factor by which the sides of photos are resized first.
    """

    rules: Preset | ClipRules
    copies: int
    objects: bool = False
    scale: float = 1.0

    @property
    def lost(self) -> int:
        """Pixels by which the sides of pairs are shorter than those of photos."""
        return 2 * self.rules.margin if isinstance(self.rules, ClipRules) else self.rules.kernel_size - 1


BLURS = {
    "uniform": Blur(PRESETS["gopro"].adapted(max_objects=0, exposure=(0.01, 0.1)), 8),
    "objects": Blur(PRESETS["gopro"], 6, objects=True),
    "realistic": Blur(PRESETS["realistic"].adapted(exposure=(0.02, 0.12)), 3, objects=True),
    # Without pairs like these two, networks sharpen content that is sharp or naturally soft.
    "mild": Blur(PRESETS["gopro"].adapted(max_objects=0, exposure=(0.0, 0.01)), 3),
    "soft": Blur(PRESETS["gopro"].adapted(max_objects=0, exposure=(0.0, 0.08)), 2, scale=1.6),
    "clips": Blur(ClipRules(), 4),
    "softclips": Blur(ClipRules(), 2, scale=1.6),
    # Long trails that curve, as of a camera in the hand.
    "trails": Blur(ClipRules(extent=(10, 64), bend=1.0, turn=1.0, frames=(9, 15), margin=48), 3),
    # What moves in front of a camera on a tripod, and what a camera follows.
    "passing": Blur(
        replace(PRESETS["gopro"], exposure=(0.0, 0.01), objects=(1, 3), object_extent=(5.0, 40.0)),
        2,
        objects=True,
    ),
    "followed": Blur(
        replace(PRESETS["gopro"], exposure=(0.03, 0.2), objects=(1, 3), object_motion="none"),
        2,
        objects=True,
    ),
    "lights": Blur(PRESETS["night"].adapted(exposure=(0.02, 0.12)), 2),
    # Few electrons and much compression, and as little blur as most photos have.
    "phone": Blur(
        replace(
            PRESETS["realistic"],
            exposure=(0.0, 0.08),
            objects=(0, 0),
            full_well=(300.0, 5000.0),
            jpeg=(30, 90),
        ),
        3,
    ),
}
# From sharp frames of clips.
_FRAMES = {
    "frames": Blur(PRESETS["gopro"].adapted(max_objects=0, exposure=(0.02, 0.1)), 6),
    "filmed": Blur(ClipRules(), 6),
}
_HELD = Blur(PRESETS["gopro"].adapted(max_objects=0), 1)
_VAL_FILMED = Blur(ClipRules(extent=(3.0, 60.0)), 4)


@dataclass(frozen=True)
class SmallSet:
    """What the set is made of.

    Args:
        output: e.g. ``datasets/Small``.
        photos: folder of sharp photos.
        labels: folder of human outlines named like ``photos``; objects in them move.
        more_photos: folder of sharp photos without outlines; null is none.
        held_photos: folder of sharp photos for testing; each is blurred once.
        val_photos: the same for validation; each is blurred once and filmed four times. Null is none.
        pairs: real pairs for training, folders with ``input`` and ``target``, and how many times an epoch
            shows each of their crops, or each pair if ``whole``. If sharp images are large enough, they are
            also blurred like photos, and the pairs at half their size, whose blur is milder, are shown twice
            as often.
        val_pairs: real pairs for validation; ``val_`` and their names are their folders in the output.
        held_pairs: real pairs for testing, by the names of their folders in the output.
        kinds: of synthesized blur of photos, keys of `BLURS`; null is all.
        whole: train on whole pairs, for ``gt_size`` above 192; crops of 192 pixels otherwise.
        workers: processes; null is one per core.
    """

    output: Path
    photos: Path
    labels: Path
    held_photos: Path
    val_photos: Path | None = None
    more_photos: Path | None = None
    pairs: Mapping[Path, int] | None = None
    val_pairs: Mapping[str, Path] | None = None
    held_pairs: Mapping[str, Path] | None = None
    kinds: Collection[str] | None = None
    whole: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        if unknown := [kind for kind in self.kinds or () if kind not in BLURS]:
            raise OptionError("kinds", [f"kinds: no blur '{unknown[0]}'; take some of {', '.join(BLURS)}"])


def make_small_set(job: SmallSet) -> dict[str, int]:
    """Make the missing files. Returns the number of images of each split.

    Raises:
        UserError: if folders cannot be used, or images failed.
    """
    judged = {f"val_{name}": folder for name, folder in (job.val_pairs or {}).items()}
    judged |= job.held_pairs or {}
    _check_pairs([*(job.pairs or {}), *judged.values()])
    for name, times in _training_parts(job):
        part = job.output / "parts" / name
        _mask(part, job.workers)
        source = part
        if not job.whole and _is_larger_than_a_window(part):
            source = part / "crops"
            for field in FIELDS:
                windows = CropWindows(WINDOWS.size, WINDOWS.step, relabel=field == "grouped_masks")
                crop_folder(part / field, source / field, windows, job.workers)
        for number in range(times):
            link_pairs(source, job.output / "train", f"{name}_{number}_")
    parts = {name: _take(job, f"held_{name}", folder) for name, folder in judged.items()}
    for split, name, photos, blur in (
        ("val_synthetic", "val", job.val_photos, _HELD),
        ("val_filmed", "val_filmed", job.val_photos, _VAL_FILMED),
        ("synthetic", "held", job.held_photos, _HELD),
    ):
        if photos is not None:
            _blur(job, name, photos, blur)
            parts[split] = job.output / "parts" / name
    for name, part in parts.items():
        _mask(part, job.workers)
        link_pairs(part, job.output / name, "")
    splits = ["train", *parts]
    return {name: len(DiskStorage(job.output / name / "input", READABLE).keys()) for name in splits}


def _check_pairs(folders: Iterable[Path]) -> None:
    for place in (folder / field for folder in folders for field in ("input", "target")):
        if not place.is_dir():
            raise UserError(f"{place}: no such folder; pairs have the folders input and target")


def _training_parts(job: SmallSet) -> Iterator[tuple[str, int]]:
    """Make the pairs of each part of the training data; yields its name and how often an epoch shows it."""
    for kind in job.kinds or BLURS:
        blur = BLURS[kind]
        _blur(job, kind, job.photos, blur)
        yield kind, 1
        if job.more_photos is not None and not blur.objects:
            _blur(job, f"{kind}_more", job.more_photos, blur)
            yield f"{kind}_more", 1
    for number, (folder, times) in enumerate((job.pairs or {}).items(), start=1):
        part = _take(job, f"real_{number}", folder)
        yield f"real_{number}", times
        if _is_larger_than_a_window(part, max(blur.lost for blur in _FRAMES.values())):
            for field in ("input", "target"):
                _resize(folder / field, job.output / "parts" / f"half_{number}" / field, 0.5, job.workers)
            yield f"half_{number}", 2 * times
            for kind, blur in _FRAMES.items():
                _blur(job, f"{kind}_{number}", part / "target", blur)
                yield f"{kind}_{number}", 1


def _blur(job: SmallSet, name: str, photos: Path, blur: Blur) -> None:
    labels = job.labels if blur.objects else None
    output = job.output / "parts" / name / ("made" if blur.objects else "")
    if blur.scale != 1:
        photos = _resize(photos, job.output / "parts" / f"{name}_photos", blur.scale, job.workers)
    if isinstance(blur.rules, ClipRules):
        film_photos(FilmJob(photos, output, blur.rules, blur.copies, workers=job.workers))
        return
    synthesize_blur(SynthesisJob(photos, output, blur.rules, labels, copies=blur.copies, workers=job.workers))
    if blur.objects:
        # These outlines are those of the sharp photo; networks see regions that were found on the blurred
        # one.
        link_pairs(output, output.parent, "", ("input", "target"))


def _resize(photos: Path, output: Path, scale: float, workers: int | None) -> Path:
    """Write photos with their sides times ``scale``. Returns ``output``."""
    files = DiskStorage(photos, READABLE)
    missing = [
        (Path(files.describe(key)), place)
        for key in files.keys()  # noqa: SIM118 - not a mapping
        if not (place := output / f"{key}.png").exists()
    ]
    for _ in in_parallel(partial(_resize_one, scale), missing, "resizing", workers, threads=True):
        pass
    return output


def _resize_one(scale: float, files: tuple[Path, Path]) -> None:
    source, place = files
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    write_png(place, cv2.resize(read_rgb(source), None, fx=scale, fy=scale, interpolation=method))


def _take(job: SmallSet, name: str, folder: Path) -> Path:
    """Link real pairs into a part."""
    part = job.output / "parts" / name
    link_pairs(folder, part, "", ("input", "target"))
    return part


def _mask(part: Path, workers: int | None) -> None:
    job = MaskJob(part / "input", part / "grouped_masks", gray=part / "input_mask", workers=workers)
    create_masks(job, Graph, "graph")


def link_pairs(source: Path, output: Path, prefix: str, fields: tuple[str, ...] = FIELDS) -> None:
    """Link the images of some fields into one folder per field, with ``/`` in their keys replaced by ``_``.

    Existing links are kept.

    Args:
        prefix: of the names.

    Raises:
        UserError: if two images would get the same name, or a name is too long.
    """
    for field in fields:
        files = DiskStorage(source / field, READABLE)
        sources: dict[Path, Path] = {}
        for key in files.keys():  # noqa: SIM118 - not a mapping
            path = Path(files.describe(key))
            place = output / field / f"{prefix}{key.replace('/', '_')}{path.suffix}"
            if place in sources:
                raise UserError(f"{sources[place]} and {path}: both would become {place}; rename one")
            sources[place] = path
        require_short_names(sources)
        for place, path in sources.items():
            if not place.exists():
                place_file(path.resolve(), place, "symlink")


def _is_larger_than_a_window(part: Path, margin: int = 0) -> bool:
    files = DiskStorage(part / "input", READABLE)
    first = read_rgb(Path(files.describe(files.keys()[0])))
    return min(first.shape[:2]) >= WINDOWS.size + margin
