"""Where the pairs lie in downloads of deraining and denoising sets.

Other than the deblurring sets of `basicsr.preparation.layouts.published`, most of these are passed on in
several forms. So folders and names are known by words: a folder whose name has ``train`` or ``test`` in it is
a split, one called ``norain``, ``target``, ``groundtruth`` and the like holds clean images, one called
``rain``, ``input``, ``noisy`` and the like degraded ones; the word nearest to the file counts, and where no
folder says it, the name of the file may (``norain-001.png``). `RELEASES` has what is peculiar to a set.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from basicsr.data.pairing import require_same
from basicsr.preparation.layouts.published import Pair, Splits, require_some
from basicsr.utils.errors import UserError
from basicsr.utils.folders import find_files
from basicsr.utils.image import READABLE

RainSet = Literal["Rain200L", "Rain200H", "Rain1400", "DID", "CityscapesRain100", "CityscapesRain200"]
NoiseSet = Literal["SIDD", "SenseNoise"]
Role = Literal["clean", "degraded"]

CLEAN = {"norain", "clean", "gt", "target", "groundtruth", "ground_truth", "sharp", "label"}
DEGRADED = {"rain", "rainy", "rain_image", "rainy_image", "noisy", "noise", "input", "lq"}
_IN_NAMES = re.compile(r"(?:^|[_-])(norain|clean|gt|rain|rainy|noisy)(?=[_-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Release:
    """What is peculiar to the downloads of a set.

    Args:
        rename: name of an image, without suffix -> what both images of a pair are called.
        clean_name: name of a degraded image, after ``rename`` -> that of its clean one.
        flat: names are unique in a split, so that folders between do not become part of them.
        only: of the folders that degraded images lie in, one has to have this name.
        clean_folder: where no word says so, images below a folder of this name are clean.
        left_out: folders with other pictures.
        whole: the split of images that lie below no split.
    """

    rename: Callable[[str], str] = str
    clean_name: Callable[[str], str] = str
    flat: bool = False
    only: str | None = None
    clean_folder: str | None = None
    left_out: frozenset[str] = frozenset()
    whole: str | None = None


def _without_scale(name: str) -> str:
    """``5x2`` -> ``5``: rainy images of Rain200 are called after their clean ones and ``x2``."""
    return re.sub(r"x2$", "", name, flags=re.IGNORECASE)


def _without_number(name: str) -> str:
    """``901_14`` -> ``901``: Rain1400 has 14 rainy images of each clean one."""
    return re.sub(r"_\d+$", "", name)


def _city(rate: str) -> Release:
    """Cityscapes and the rain of Tremblay et al. (IJCV 2020) in ``<city>/rain/<rate>/rainy_image``."""
    others = frozenset({"depth", "envmap", "rainy_mask", "rain_mask"})
    return Release(flat=True, only=rate, clean_folder="leftimg8bit", left_out=others)


RELEASES: dict[RainSet | NoiseSet, Release] = {
    "Rain200L": Release(_without_scale, flat=True),
    "Rain200H": Release(_without_scale, flat=True),
    "Rain1400": Release(clean_name=_without_number, flat=True),
    "DID": Release(),
    "CityscapesRain100": _city("100mm"),
    "CityscapesRain200": _city("200mm"),
    "SIDD": Release(whole="train"),
    "SenseNoise": Release(),
}


@dataclass(frozen=True)
class _Found:
    """An image of a download: its split, what it is, and its name, without suffix, role and split."""

    path: Path
    split: str
    role: Role | None
    name: str


def splits_by_words(name: RainSet | NoiseSet, folder: Path) -> Splits:
    """The pairs of a download, by split; several degraded images may have one clean image.

    Splits without degraded images are left out, such as parts of Cityscapes that no rain was made for.

    | set | names |
    |---|---|
    | Rain200L, Rain200H | ``norain-5.png``, ``norain-5x2.png``; older ones ``norain-5.png``, ``rain-5.png`` |
    | Rain1400 (DDN) | ``901.jpg``, ``901_1.jpg`` .. ``901_14.jpg`` |
    | DID | the same in both folders; for halves of one picture see `halved_pictures` |
    | CityscapesRain100, 200 | the same; folders as rain-rendering writes them, beside Cityscapes' own |
    | SIDD | the same in both folders, or ``.._GT_SRGB_010.PNG``, ``.._NOISY_SRGB_010.PNG`` |
    | SenseNoise | the same in both folders, or ``.._gt``, ``.._noisy``: a guess, its release was not seen |

    Raises:
        UserError: no such pairs, two images of one name, or images that do not pair.
    """
    release = RELEASES[name]
    sides: defaultdict[str, dict[Role, dict[str, Path]]] = defaultdict(lambda: {"clean": {}, "degraded": {}})
    for image in _images(folder, release):
        if image.role is not None:
            _put(sides[image.split][image.role], image)
    splits = {
        split: _pairs(release, side, folder) for split, side in sorted(sides.items()) if side["degraded"]
    }
    return require_some(splits, folder, "pairs such as train/norain/1.png, train/rain/1.png")


def halved_pictures(folder: Path) -> dict[str, dict[str, Path]]:
    """Pictures that hold both images side by side, as the official DID does: split -> name -> file.

    Empty where words say which images are clean and degraded.

    Raises:
        UserError: no pictures below a train or test folder, or two of one name.
    """
    images = list(_images(folder, Release()))
    if any(image.role is not None for image in images):
        return {}
    splits: dict[str, dict[str, Path]] = {}
    for image in images:
        _put(splits.setdefault(image.split, {}), image)
    if not splits:
        raise UserError(f"{folder}: found no pictures below a train or test folder; check the path")
    return dict(sorted(splits.items()))


def _images(folder: Path, release: Release) -> Iterable[_Found]:
    for path in find_files(folder, READABLE):
        parts = path.relative_to(folder).parent.parts
        words = [part.lower() for part in parts]
        split = next(filter(None, map(_split_of, [*reversed(words), folder.name.lower()])), release.whole)
        candidates = (*reversed(words), *(found[1].lower() for found in _IN_NAMES.finditer(path.stem)))
        roles = [role for word in candidates if (role := _role_of(word))]
        if not roles and release.clean_folder in words:
            roles = ["clean"]
        if split is None or release.left_out.intersection(words):
            continue
        if roles[:1] == ["degraded"] and release.only is not None and release.only not in words:
            continue
        name = release.rename(_IN_NAMES.sub("", path.stem).strip("_-"))
        if not release.flat:
            places = [part for part in parts if not _split_of(part.lower()) and not _role_of(part.lower())]
            name = "-".join(filter(None, [*places, name]))
        yield _Found(path, split, roles[0] if roles else None, name)


def _split_of(word: str) -> str | None:
    if word in ("val", "valid", "validation"):
        return "val"
    return next((split for split in ("train", "test") if split in word), None)


def _role_of(word: str) -> Role | None:
    if word in CLEAN:
        return "clean"
    return "degraded" if word in DEGRADED else None


def _put(files: dict[str, Path], image: _Found) -> None:
    if image.name in files:
        both = f"{files[image.name]} and {image.path}"
        raise UserError(f"{both} get one name, '{image.name}'; keep one of them")
    files[image.name] = image.path


def _pairs(release: Release, side: dict[Role, dict[str, Path]], folder: Path) -> list[Pair]:
    partners = {name: release.clean_name(name) for name in side["degraded"]}
    require_same(
        partners.values(), side["clean"], f"degraded images of {folder}", f"clean images of {folder}"
    )
    return [
        Pair(name, side["clean"][clean], side["degraded"][name]) for name, clean in sorted(partners.items())
    ]
