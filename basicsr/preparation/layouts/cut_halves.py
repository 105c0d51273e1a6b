"""Cut pictures with a rainy and a clean image side by side into ``<target>/<split>/{target,input}``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from basicsr.preparation.layouts.place_pairs import Placed, count_warnings, record_kind, recorded_kinds
from basicsr.preparation.reading import Array, read_bytes
from basicsr.utils.errors import UserError
from basicsr.utils.files import require_short_names
from basicsr.utils.image import decode_rgb, write_png
from basicsr.utils.parallel import in_parallel

Side = Literal["left", "right"]


class _Cut(NamedTuple):
    """Files written for a picture, and whether its rainy half has the stronger edges."""

    made: int
    is_rougher: bool


def cut_halves(
    name: str,
    pictures: Mapping[str, Mapping[str, Path]],
    target: Path,
    rainy: Side = "left",
    workers: int | None = None,
) -> Placed:
    """Write both halves of every picture as PNG; existing files are kept.

    Args:
        name: key of `basicsr.preparation.layouts.place_pairs.EXPECTED`.
        pictures: from `basicsr.preparation.layouts.published_by_words.halved_pictures`.
        target: e.g. ``datasets/DID``.
        rainy: which half is the rainy one. A warning is logged if that looks wrong, judged by the edges that
            rain adds.
        workers: processes; null is one per core.

    Raises:
        UserError: if a name is too long, or ``target`` holds other halves; or, after all others are done, if
            pictures are broken or do not have two equal halves.
    """
    jobs = [
        (path, target / split / "target" / f"{key}.png", target / split / "input" / f"{key}.png")
        for split, files in pictures.items()
        for key, path in files.items()
    ]
    require_short_names(place for _, *places in jobs for place in places)
    kind = f"halves, rainy {rainy}"
    other = [known for known in recorded_kinds(target) if known != kind]
    if other:
        raise UserError(f"{target}: is made from {' and '.join(other)}; choose another folder for {kind}")
    record_kind(target, name, kind)
    cuts = list(in_parallel(partial(_cut, rainy=rainy), jobs, "cutting", workers))
    counts = {split: len(files) for split, files in pictures.items()}
    warnings = count_warnings(name, counts)
    smoother = sum(not cut.is_rougher for cut in cuts)
    if 2 * smoother > len(cuts):
        found = f"in {smoother} of {len(cuts)} pictures the {rainy} half, taken as rainy, is the smoother one"
        warnings.append(f"{found}; check some, and use --rainy {'right' if rainy == 'left' else 'left'}")
    made = sum(cut.made for cut in cuts)
    return Placed(target, kind, counts, made, 2 * len(cuts) - made, warnings)


def _cut(job: tuple[Path, Path, Path], rainy: Side) -> _Cut:
    source, clean_place, rainy_place = job
    picture = decode_rgb(read_bytes(source), str(source))
    height, width = picture.shape[:2]
    if width % 2:
        raise UserError(f"{source}: has {width}x{height} pixels, not two equal halves; leave it out")
    halves = picture[:, : width // 2], picture[:, width // 2 :]
    wet, dry = halves if rainy == "left" else halves[::-1]
    made = 0
    for place, half in ((clean_place, dry), (rainy_place, wet)):
        if not place.exists():
            write_png(place, np.ascontiguousarray(half))
            made += 1
    return _Cut(made, _roughness(wet) >= _roughness(dry))


def _roughness(image: Array) -> float:
    """Mean difference of horizontal neighbors; streaks, which are steep, increase it."""
    return float(np.abs(np.diff(image.astype(np.float32), axis=1)).mean())
