"""Look at every file of a data set and say what is wrong with it, and how to go on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from basicsr.masks.label_map import decode_label_map
from basicsr.preparation.layouts.crop_patches import CROP_FOLDERS
from basicsr.preparation.layouts.place_pairs import EXPECTED
from basicsr.preparation.reading import Array, read_bytes
from basicsr.storage import DiskStorage
from basicsr.utils.display import shown
from basicsr.utils.errors import UserError
from basicsr.utils.folders import visible_folders
from basicsr.utils.image import READABLE, decode_rgb, decode_single
from basicsr.utils.parallel import in_parallel

_SHOWN = 10
_LABELS = ("grouped_masks", CROP_FOLDERS["grouped_masks"])
_BLURRED = ("input", CROP_FOLDERS["input"])
_GRAY = ("input_mask", CROP_FOLDERS["input_mask"])
_SETS = (tuple(CROP_FOLDERS), tuple(CROP_FOLDERS.values()))
_OFFICIAL = {
    "GoPro": "GoPro",
    "REDS": "REDS",
    "RealBlurJ": "RealBlur",
    "RealBlurR": "RealBlur",
    "ReLoBlur": "ReLoBlur",
    "Rain200L": "Rain200L",
    "Rain200H": "Rain200H",
    "Rain1400": "Rain1400",
    "DDN": "Rain1400",
    "DID": "DID",
    "CityscapesRain100": "CityscapesRain100",
    "CityscapesRain200": "CityscapesRain200",
    "SIDD": "SIDD",
}


@dataclass(frozen=True)
class _Item:
    """One key of a split and its files by folder."""

    split: str
    key: str
    files: dict[str, Path]


@dataclass(frozen=True)
class _Seen:
    """What decoding the files of an item showed, by folder; ``pixels`` are digests of the images."""

    item: _Item
    sizes: dict[str, tuple[int, int]]
    pixels: dict[str, str]
    regions: dict[str, int]
    unreadable: list[str]


@dataclass
class DatasetReport:
    """What there is, one line per folder; and for each kind of mistake, with its hint, where it was found."""

    folder: Path
    lines: list[str] = field(default_factory=list)
    problems: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def text(self) -> str:
        """Lines for a person."""
        lines = [str(self.folder), *(f"  {line}" for line in self.lines)]
        for problem, places in self.problems.items():
            lines.append(f"wrong: {problem} ({len(places)})")
            lines += [f"  {place}" for place in places[:_SHOWN]]
            if len(places) > _SHOWN:
                lines.append(f"  .. and {len(places) - _SHOWN} more")
        return "\n".join(map(shown, lines if self.problems else [*lines, "nothing wrong found"]))


def check_dataset(folder: Path, workers: int | None = None) -> DatasetReport:
    """Check counts, pairing, sizes, label maps, readability, duplicates and leaks of every split.

    A split is a subfolder of ``folder``, or ``folder`` itself, with ``target`` and ``input`` or the training
    crops made of them. Images are compared by their pixels, so another compression hides nothing. One target
    for several inputs is no mistake: it may have been blurred in several ways.

    Args:
        workers: processes; null is one a core.

    Raises:
        UserError: no split in ``folder``.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; check the path")
    report = DatasetReport(folder)
    items: list[_Item] = []
    for split in [folder, *visible_folders(folder)]:
        for names in _SETS:
            if any((split / name).is_dir() for name in names):
                items += _list_set(split, names, report)
    if not items and not report.problems:
        raise UserError(f"{folder}: no split in it; a data set has <split>/target and <split>/input")
    seen = list(in_parallel(_look, items, "checking", workers))
    _find_mistakes(seen, report)
    _find_duplicates(seen, report)
    _summarize(seen, report)
    return report


def _list_set(split: Path, names: tuple[str, ...], report: DatasetReport) -> list[_Item]:
    """The items of the folders that belong together, paired by key."""
    files: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    present = []
    for name in names:
        if not (split / name).is_dir() and name not in names[:2]:
            continue  # masks are needed by some networks only
        try:
            storage = DiskStorage(split / name, (*READABLE, ".npz"))
        except UserError as error:
            report.problems["a folder cannot be used"].append(str(error))
            continue
        present.append(name)
        keys = storage.keys()
        for key in keys:
            files[key][name] = Path(storage.describe(key))
    for key, name in ((key, name) for key in sorted(files) for name in present if name not in files[key]):
        problem = "files that do not pair; add what is missing, or remove the others of that name"
        report.problems[problem].append(f"{split / name} has no '{key}'")
    expected = EXPECTED.get(_OFFICIAL.get(split.parent.name, ""), {}).get(split.name)
    if names == _SETS[0] and expected not in (None, len(files)):
        report.lines.append(f"{split.name}: {len(files)} images, the official data set has {expected}")
    return [_Item(split.name, key, files[key]) for key in sorted(files)]


def _look(item: _Item) -> _Seen:
    seen = _Seen(item, {}, {}, {}, [])
    for name, path in item.files.items():
        try:
            array = _decode(name, read_bytes(path), str(path))
        except UserError as error:
            seen.unreadable.append(str(error))
            continue
        seen.sizes[name] = (array.shape[1], array.shape[0])
        if name in _LABELS:
            seen.regions[name] = np.unique(array[array > 0]).size
        elif name not in _GRAY:
            header = f"{array.shape} {array.dtype}".encode()
            seen.pixels[name] = hashlib.blake2b(header + array.tobytes(), digest_size=16).hexdigest()
    return seen


def _decode(folder: str, data: bytes, name: str) -> Array:
    if folder in _LABELS:
        return decode_label_map(data, name)
    return decode_single(data, name) if folder in _GRAY else decode_rgb(data, name)


def _find_mistakes(seen: list[_Seen], report: DatasetReport) -> None:
    """What an item shows without the others."""
    for one in seen:
        place = f"{one.item.split}/{one.item.key}"
        for message in one.unreadable:
            report.problems["files that cannot be used"].append(message)
        if len(set(one.sizes.values())) > 1:
            sizes = ", ".join(f"{name} {width}x{height}" for name, (width, height) in one.sizes.items())
            report.problems["sizes that differ; make the files of a name the same size"].append(
                f"{place}: {sizes}"
            )
        if len(one.pixels) == 2 and len(set(one.pixels.values())) == 1:
            problem = "an input that equals its target; check that it is the blurred image"
            report.problems[problem].append(place)


def _find_duplicates(seen: list[_Seen], report: DatasetReport) -> None:
    """Images that occur in two splits, and blurred images that occur twice in one."""
    places: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for one in seen:
        for name, digest in one.pixels.items():
            places[digest].append((one.item.split, name, one.item.key))
    for same in places.values():
        text = " = ".join("/".join(place) for place in same)
        if len({split for split, _, _ in same}) > 1:
            report.problems["one image in two splits; remove it from the training split"].append(text)
        blurred = [(split, name) for split, name, _ in same if name in _BLURRED]
        if len(blurred) > len(set(blurred)):
            report.problems["the same blurred image twice; remove one pair"].append(text)


def _summarize(seen: list[_Seen], report: DatasetReport) -> None:
    folders: defaultdict[tuple[str, str], list[_Seen]] = defaultdict(list)
    for one in seen:
        for name in one.sizes:
            folders[one.item.split, name].append(one)
    for (split, name), of_folder in folders.items():
        sizes = sorted({one.sizes[name] for one in of_folder})
        shown = " to ".join(f"{width}x{height}" for width, height in sorted({sizes[0], sizes[-1]}))
        line = f"{split}/{name}: {len(of_folder)} of {shown} pixels"
        pixels = {one.pixels[name] for one in of_folder if name in one.pixels}
        if 0 < len(pixels) < len(of_folder):
            line += f", {len(pixels)} different"
        regions = [one.regions[name] for one in of_folder if name in one.regions]
        if regions:
            line += f", regions: least {min(regions)}, median {median(regions):g}, most {max(regions)}"
        report.lines.append(line)
