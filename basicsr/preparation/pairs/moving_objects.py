"""The regions of a photo that may move: a label map, SAM-Deblur's masks, or instances of Detectron2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basicsr.masks import LabelMap, decode_label_map, from_stack
from basicsr.preparation.masks.convert import read_detectron2
from basicsr.segmenters.base import Masks
from basicsr.synthesis import Preset, choose_instances, choose_regions
from basicsr.utils.errors import UserError
from basicsr.utils.npz import Npz


@dataclass(frozen=True)
class Instances:
    """Detected objects, which may overlap: bool (N, H, W) and scores (N,)."""

    masks: Masks
    scores: NDArray[np.float64]


Objects = LabelMap | Instances


def decode_objects(data: bytes, name: str) -> Objects:
    """Decode the bytes of a mask file; see `basicsr.masks.decode_label_map` for the other formats.

    Raises:
        UserError: if it is not a mask file, damaged, or has instances whose scores do not match.
    """
    if not (data.startswith(b"PK") and "pred_masks" in _keys(data, name)):
        return decode_label_map(data, name)
    masks, scores = read_detectron2(data, name), _scores(data, name)
    if scores is None or scores.shape != (len(masks),):
        found = "none" if scores is None else f"{scores.shape}"
        raise UserError(f"{name}: {len(masks)} instances need as many 'scores', found {found}; save both")
    return Instances(masks, scores)


def usable_map(objects: Objects, rules: Preset) -> LabelMap:
    """Label map (H, W) of all regions; for instances, the confident and large ones, the smallest on top."""
    if not isinstance(objects, Instances):
        return objects
    areas = objects.masks.sum((1, 2))
    used = (objects.scores > rules.min_score) & (areas > rules.min_object_area)
    return from_stack(objects.masks[used], "smallest_on_top")


def choose(
    objects: Objects, labels: LabelMap, rules: Preset, generator: np.random.Generator
) -> tuple[list[int], Masks]:
    """Which regions move: their ids (numbers from 0 of overlapping instances) and masks bool (M, H, W).

    Args:
        labels: of `usable_map`.
    """
    if isinstance(objects, Instances) and not rules.behind:
        areas = objects.masks.sum((1, 2))
        numbers = choose_instances(areas, objects.scores, rules, generator)
        return numbers, objects.masks[numbers]
    regions = choose_regions(labels, rules, generator)
    return regions, labels == np.array(regions, np.int32)[:, None, None]


def _keys(data: bytes, name: str) -> list[str]:
    with _errors_naming(name):
        return Npz(data).keys()


def _scores(data: bytes, name: str) -> NDArray[np.float64] | None:
    with _errors_naming(name):
        archive = Npz(data)
        names = archive.keys()
        return np.asarray(archive.read("scores"), np.float64) if "scores" in names else None


@contextmanager
def _errors_naming(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # NumPy can raise any error from the zip file and the arrays
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: damaged .npz file ({reason}); make it again") from error
