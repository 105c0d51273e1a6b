"""Put the pairs of a download into ``<target>/<split>/{target,input}`` as links or copies."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from basicsr.preparation.layouts.published import Splits
from basicsr.utils.checksum import with_checksum, without_checksum
from basicsr.utils.display import shown
from basicsr.utils.errors import UserError
from basicsr.utils.files import require_short_names, write_atomically, write_bytes

Link = Literal["symlink", "hardlink", "copy"]

ALL_SPLITS = "all splits"
EXPECTED = {
    "GoPro": {"train": 2103, "test": 1111},
    "REDS": {"train": 24000, "val": 3000},
    "RealBlur": {"train": 3758, "test": 980},
    "ReLoBlur": {"train": 2010, "test": 395},
    "Rain200L": {"train": 1800, "test": 200},
    "Rain200H": {"train": 1800, "test": 200},
    "Rain1400": {"train": 12600, "test": 1400},
    "DID": {"train": 12000, "test": 1200},
    "CityscapesRain100": {"train": 2975},
    "CityscapesRain200": {"train": 2975},
    "SIDD": {"val": 1280},
    "SenseNoise": {ALL_SPLITS: 500},
}
"""Pairs by split. Not listed: SIDD's training patches, which are cut in many ways, the splits of SenseNoise,
and renderings of Cityscapes besides its training photos."""
RECORD = "layout.json"
_SHOWN = 10


@dataclass(frozen=True)
class Placed:
    """Result of `place_pairs`: pairs found by split, files made, existing files, and warnings."""

    target: Path
    kind: str
    pairs: dict[str, int]
    made: int
    kept: int
    warnings: list[str]

    def text(self) -> str:
        """The result as text."""
        counts = ", ".join(f"{split} {count}" for split, count in self.pairs.items())
        files = f"{self.made} files made, {self.kept} there already"
        head = f"{self.target}: pairs of {self.kind}: {counts}; {files}"
        return "\n".join(map(shown, [head, *(f"warning: {warning}" for warning in self.warnings)]))


def place_pairs(name: str, kind: str, splits: Splits, target: Path, link: Link = "symlink") -> Placed:
    """Link or copy every pair; existing files are kept, and nothing is overwritten.

    ``layout.json`` in the target records which kinds of images it was made from.

    Args:
        name: key of `EXPECTED`.
        kind: which images of the download these are, e.g. ``blur_gamma``.
        splits: pairs by split.
        target: e.g. ``datasets/GoPro``.

    Raises:
        UserError: if a name is too long, or a link cannot be made; or, after all others are done, if existing
            files differ from the download.
    """
    places = [
        (source, target / split / folder / f"{pair.key}{source.suffix.lower()}")
        for split, pairs in splits.items()
        for pair in pairs
        for folder, source in (("target", pair.sharp), ("input", pair.blurred))
    ]
    require_short_names(place for _, place in places)
    there = [(source, place) for source, place in places if os.path.lexists(place)]
    differing = [place for source, place in there if not _is_same(source, place)]
    missing = [(source, place) for source, place in places if not os.path.lexists(place)]
    kinds = record_kind(target, name, kind) if missing else recorded_kinds(target)
    for source, place in tqdm(missing, link, unit="file"):
        place_file(source.resolve(), place, link)
    if differing:
        names = ", ".join(map(str, differing[:_SHOWN])) + (", .." if len(differing) > _SHOWN else "")
        made = f"made from {', '.join(kinds)}" if kinds else "made from something else"
        found = f"{len(differing)} existing files ({made}) differ from {kind} of the download"
        raise UserError(f"{target}: {found}; they were kept: choose another folder, or delete {names}")
    counts = {split: len(pairs) for split, pairs in splits.items()}
    warnings = count_warnings(name, counts)
    if len(kinds) > 1:
        warnings.append(f"{target} is made from {' and '.join(kinds)}; start again with an empty folder")
    return Placed(target, kind, counts, len(missing), len(there), warnings)


def count_warnings(name: str, counts: Mapping[str, int]) -> list[str]:
    """A line for each split whose number of pairs differs from `EXPECTED`."""
    warnings = []
    for split, expected in EXPECTED[name].items():
        found = sum(counts.values()) if split == ALL_SPLITS else counts.get(split, 0)
        if found != expected:
            difference = f"{abs(found - expected)} {'too few' if found < expected else 'too many'}"
            warnings.append(f"{split} has {found} pairs, the official {name} {expected}: {difference}")
    return warnings


def record_kind(target: Path, name: str, kind: str) -> list[str]:
    """Record in ``layout.json`` that ``target`` is made from images of this kind; returns all kinds.

    Raises:
        UserError: if the file exists and is not such a record.
    """
    kinds = sorted({*recorded_kinds(target), kind})
    made_of = with_checksum({"dataset": name, "kinds": kinds})
    write_bytes(target / RECORD, (json.dumps(made_of) + "\n").encode())
    return kinds


def recorded_kinds(target: Path) -> list[str]:
    """The kinds that `record_kind` has recorded for ``target``.

    Raises:
        UserError: if the file exists and is not such a record.
    """
    record = target / RECORD
    if not record.is_file():
        return []
    try:
        return [str(kind) for kind in without_checksum(json.loads(record.read_bytes()))["kinds"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{record}: not a record of this command, or damaged; delete it") from error


def _is_same(source: Path, place: Path) -> bool:
    try:
        return place.samefile(source) or filecmp.cmp(source, place)
    except OSError:
        return False  # a link whose file has moved


def place_file(source: Path, place: Path, link: Link) -> None:
    """Put a link to ``source``, or a copy, at ``place``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if link == "copy":
        write_atomically(place, lambda temporary: _copy(source, temporary))
        return
    make: Callable[[Path, Path], None] = os.symlink if link == "symlink" else os.link
    try:
        make(source, place)
    except OSError as error:
        raise UserError(f"{place}: no {link} can be made ({error.strerror}); try --link copy") from error


def _copy(source: Path, place: Path) -> None:
    shutil.copy2(source, place)
