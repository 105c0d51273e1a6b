"""Where the pairs are in the official downloads of GoPro, REDS, RealBlur and ReLoBlur.

Each function searches below the folder of a download, however its archives were unpacked, and returns the
pairs of the splits found, under names that are unique across clips and scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from basicsr.data.pairing import require_same
from basicsr.storage.meta_info import read_lines
from basicsr.utils.errors import UserError
from basicsr.utils.folders import find_files, visible_files, visible_folders
from basicsr.utils.image import READABLE

SHARP = ("sharp", "gt", "target")
BLURRED = ("blur", "input", "lq")
_DEPTH = 4


@dataclass(frozen=True)
class Pair:
    """A sharp image, its blurred counterpart, and the name of both in the standard layout, without suffix."""

    key: str
    sharp: Path
    blurred: Path


Splits = dict[str, list[Pair]]


def gopro_splits(folder: Path, blur: Literal["blur", "blur_gamma"] = "blur") -> Splits:
    """GOPRO_Large: ``{train,test}/<clip>/{blur,blur_gamma,sharp}/<frame>.png`` -> ``<clip>-<frame>``.

    Args:
        blur: ``blur`` is the mean of the stored frames, ``blur_gamma`` of the frames in linear light.

    Raises:
        UserError: if there are no such folders, a clip lacks one of them, or frames do not pair.
    """
    splits: Splits = {}
    for split in ("train", "test"):
        place = _find(folder, split, lambda clip: (clip / "sharp").is_dir())
        if place is not None:
            clips = [
                clip
                for clip in visible_folders(place)
                if any((clip / kind).is_dir() for kind in (blur, "sharp"))
            ]
            splits[split] = [pair for clip in clips for pair in _clip_pairs(clip, blur)]
    return require_some(splits, folder, "train/<clip>/sharp or test/<clip>/sharp, as in GOPRO_Large")


def _clip_pairs(clip: Path, blur: str) -> list[Pair]:
    for kind in (blur, "sharp"):
        if not (clip / kind).is_dir():
            has = ", ".join(place.name for place in visible_folders(clip))
            raise UserError(f"{clip}: has {has} but no folder '{kind}'; choose --blur or unpack it again")
    return _paired(_clip_images(clip.name, clip / "sharp"), _clip_images(clip.name, clip / blur), clip)


def _clip_images(clip: str, folder: Path) -> dict[str, Path]:
    return {f"{clip}-{path.stem}": path for path in visible_files(folder, READABLE)}


def reds_splits(folder: Path) -> Splits:
    """REDS: ``{train,val}_{blur,sharp}/<clip>/<frame>.png`` -> ``<clip>-<frame>``.

    Raises:
        UserError: if there are no such folders, only one of a split, or frames do not pair.
    """
    splits: Splits = {}
    for split in ("train", "val"):
        names = (f"{split}_sharp", f"{split}_blur")
        sharp, blurred = (
            _find(folder, name, lambda clip: bool(visible_files(clip, (".png",)))) for name in names
        )
        if sharp is None and blurred is None:
            continue
        if sharp is None or blurred is None:
            lacking = names[0] if sharp is None else names[1]
            raise UserError(f"{folder}: no frames {lacking}/<clip>/*.png; unpack {lacking}.zip there too")
        files = [
            {
                key: path
                for clip in visible_folders(place)
                for key, path in _clip_images(clip.name, clip).items()
            }
            for place in (sharp, blurred)
        ]
        splits[split] = _paired(files[0], files[1], folder)
    return require_some(splits, folder, "train_sharp, train_blur, val_sharp or val_blur with clips in them")


def realblur_splits(folder: Path, camera: Literal["J", "R"] = "J") -> Splits:
    """RealBlur: lines ``gt_path blur_path`` of its list files -> ``RealBlur-J-<scene>-<stem of gt>``.

    Args:
        camera: J are the JPEG images of the camera, R the raw ones.

    Raises:
        UserError: if there is no list file, a line is not a pair, two pairs have one name, or a listed file
            is missing.
    """
    splits: Splits = {}
    for split in ("train", "test"):
        list_file = next(_named(folder, f"RealBlur_{camera}_{split}_list.txt"), None)
        if list_file is not None:
            splits[split] = _listed_pairs(list_file, camera)
    return require_some(
        splits, folder, f"RealBlur_{camera}_train_list.txt or RealBlur_{camera}_test_list.txt"
    )


def _listed_pairs(list_file: Path, camera: str) -> list[Pair]:
    pairs: dict[str, Pair] = {}
    for line in read_lines(list_file):
        words = line.split()
        parts = words[0].split("/")
        if len(words) != 2 or len(parts) < 3:
            wanted = "'<set>/<scene>/gt/<file> <set>/<scene>/blur/<file>'"
            raise UserError(f"{list_file}: expected lines {wanted}, found {line!r}; download the list again")
        sharp, blurred = (list_file.parent / word for word in words)
        key = f"RealBlur-{camera}-{parts[-3]}-{sharp.stem}"
        if key in pairs:
            raise UserError(f"{list_file}: lists {words[0]} twice; download the list again")
        pairs[key] = Pair(key, sharp, blurred)
    missing = [
        str(path) for pair in pairs.values() for path in (pair.sharp, pair.blurred) if not path.is_file()
    ]
    if missing:
        count = f"{len(missing)} of the files it lists are missing, the first is {missing[0]}"
        raise UserError(f"{list_file}: {count}; unpack the images next to the list")
    return list(pairs.values())


def reloblur_splits(folder: Path) -> Splits:
    """ReLoBlur: ``{train,test}/<scene>/<shot>/<number>_{sharp,blur}.png`` -> ``<scene>-<shot>-<number>``.

    The end of a name (``00_sharp.png``, ``00_blur.png``) or a folder (``sharp/00.png``, ``blur/00.png``)
    tells which image is which; `SHARP` and `BLURRED` are the words. Other images, such as the masks of
    blurred areas, are left out.

    Raises:
        UserError: if there are no such images, two have one name, or images do not pair.
    """
    splits: Splits = {}
    for split in ("train", "test"):
        for place in _named(folder, split):
            sharp, blurred = (_images_with_role(place, words) for words in (SHARP, BLURRED))
            if sharp or blurred:
                splits[split] = _paired(sharp, blurred, place)
                break
    return require_some(splits, folder, "train/ or test/ with pairs *_sharp, *_blur or sharp/*, blur/*")


def _images_with_role(folder: Path, words: Iterable[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in find_files(folder, READABLE):
        places = list(path.relative_to(folder).parent.parts)
        stem, _, end = path.stem.rpartition("_")
        if end.lower() not in words:
            role = next((place for place in places if place.lower() in words), None)
            if role is None:
                continue
            places.remove(role)
            stem = path.stem
        key = "-".join([*places, stem])
        if key in files:
            raise UserError(f"{files[key]} and {path} get the same name, '{key}'; keep one of them")
        files[key] = path
    return files


def _paired(sharp: dict[str, Path], blurred: dict[str, Path], folder: Path) -> list[Pair]:
    require_same(sharp, blurred, f"sharp images of {folder}", f"blurred images of {folder}")
    return [Pair(key, sharp[key], blurred[key]) for key in sorted(sharp)]


def _named(folder: Path, name: str) -> Iterator[Path]:
    """All paths of that name at most `_DEPTH` folders below ``folder``, the nearest first."""
    places = [folder]
    for _ in range(_DEPTH):
        yield from (place / name for place in places if (place / name).exists())
        places = [inside for place in places for inside in visible_folders(place)]


def _find(folder: Path, name: str, is_clip: Callable[[Path], bool]) -> Path | None:
    """The folder ``name`` that holds a clip; archives repeat folder names on the way to it."""
    found = (place for place in _named(folder, name) if place.is_dir())
    return next((place for place in found if any(map(is_clip, visible_folders(place)))), None)


def require_some(splits: Splits, folder: Path, wanted: str) -> Splits:
    """Return ``splits`` if it holds a pair.

    Args:
        wanted: what was looked for below ``folder``.

    Raises:
        UserError: if there is none.
    """
    if not any(splits.values()):
        raise UserError(f"{folder}: found no {wanted}; check the path")
    return splits
