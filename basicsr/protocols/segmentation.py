"""How well label images agree: intersection over union, pixel accuracy and Dice.

Restored photos are often evaluated by what a segmentation network still finds in them, e.g. on Cityscapes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basicsr.config.paths import ResultPaths
from basicsr.data.pairing import require_same
from basicsr.engine.evaluator import Evaluation
from basicsr.engine.report import publish_results
from basicsr.masks.label_map import decode_ids
from basicsr.metrics.summary import Summary
from basicsr.protocols.folders import require_free
from basicsr.storage import DiskStorage
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.image import READABLE
from basicsr.utils.log import logger
from basicsr.utils.parallel import in_parallel

CLASSES = "classes.csv"
_IDS = 1 << 16  # of labels, which are uint16 at most


@dataclass(frozen=True)
class Overlap:
    """How many pixels of each class two label images have, and how many agree.

    Args:
        classes: those that occur in one of the two, ascending, (K,).
        shared: pixels with the class in both, (K,).
        predicted, true: pixels with the class in one of the two, (K,).
    """

    classes: NDArray[np.int64]
    shared: NDArray[np.int64]
    predicted: NDArray[np.int64]
    true: NDArray[np.int64]

    @classmethod
    def of(cls, predicted: NDArray[Any], true: NDArray[Any], ignore: Sequence[int] = ()) -> Overlap:
        """Compare two integer arrays of one shape; pixels with a true label in ``ignore`` are left out."""
        counted = ~np.isin(true, ignore)
        predicted, true = predicted[counted], true[counted]
        classes = np.union1d(predicted, true).astype(np.int64)
        counts = (
            np.bincount(values, minlength=_IDS)[classes]
            for values in (predicted[predicted == true], predicted, true)
        )
        return cls(classes, *counts)

    @classmethod
    def sum(cls, parts: Sequence[Overlap]) -> Overlap:
        """Sum over several pairs of images."""
        totals = np.zeros((3, _IDS), np.int64)
        for part in parts:
            totals[:, part.classes] += np.stack([part.shared, part.predicted, part.true])
        classes = np.flatnonzero(totals[1:].any(0))
        return cls(classes, *totals[:, classes])

    @property
    def iou(self) -> NDArray[np.float64]:
        """For each class, shared / (predicted + true - shared)."""
        return self.shared / (self.predicted + self.true - self.shared)

    @property
    def dice(self) -> NDArray[np.float64]:
        """For each class, 2 shared / (predicted + true)."""
        return 2 * self.shared / (self.predicted + self.true)

    def scores(self) -> dict[str, float]:
        """Means over the classes, and the share of pixels that agree; empty if no pixel counts."""
        if not self.classes.size:
            return {}
        return {
            "iou": float(self.iou.mean()),
            "pixel_accuracy": float(self.shared.sum() / self.true.sum()),
            "dice": float(self.dice.mean()),
        }


def evaluate_segmentation(
    predicted: Path,
    true: Path,
    output: Path,
    ignore: Sequence[int] = (),
    overwrite: bool = False,
    workers: int | None = None,
) -> Evaluation:
    """Compare folders of label images that pair by path without suffix, and write the results.

    A label is the index of a palette PNG, or the value of a gray image of 8 or 16 bits. The figures of the
    set are computed over all its pixels together, as usual for IoU, not as means over its images; classes
    that occur in neither folder do not count. ``metrics.json`` and ``metrics.csv`` also have the figures of
    each image. ``classes.csv`` has one line per class.

    Args:
        output: folder for these three files.
        ignore: true labels whose pixels do not count.
        workers: processes; null is one per core.

    Raises:
        UserError: if folders do not pair, results exist already, or there are only ignored labels. After the
            last image, names those that could not be compared; then nothing is written.
    """
    ours, theirs = (DiskStorage(folder, READABLE) for folder in (predicted, true))
    keys = theirs.keys()
    require_same(keys, ours.keys(), str(true), str(predicted))
    paths = ResultPaths(output)
    classes_csv = output / CLASSES
    require_free([paths.metrics_json, paths.metrics_csv, classes_csv], overwrite)
    work = partial(_compare, ours, theirs, tuple(ignore))
    overlaps = list(in_parallel(work, keys, "comparing", workers))
    total = Overlap.sum(overlaps)
    if not total.classes.size:
        raise UserError(f"{true}: has only ignored labels; ignore fewer")
    rows = [{"key": key, **overlap.scores()} for key, overlap in zip(keys, overlaps, strict=True)]
    summaries = {name: Summary(value, infinite=0, undefined=0) for name, value in total.scores().items()}
    evaluation = Evaluation("segmentation", rows, summaries)
    write_bytes(classes_csv, _class_lines(total).encode())
    publish_results(paths, [evaluation])
    logger().info(f"classes: {classes_csv}")
    return evaluation


def _compare(predicted: DiskStorage, true: DiskStorage, ignore: Sequence[int], key: str) -> Overlap:
    ours, theirs = (decode_ids(storage.read(key), storage.describe(key)) for storage in (predicted, true))
    if ours.shape != theirs.shape:
        sizes = "has {1}x{0} pixels, the true one {3}x{2}".format(*ours.shape, *theirs.shape)
        raise UserError(f"{predicted.describe(key)}: {sizes}; make them the same size")
    return Overlap.of(ours, theirs, ignore)


def _class_lines(total: Overlap) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["class", "pixels", "iou", "dice"])
    columns = (total.classes.tolist(), total.true.tolist(), total.iou.tolist(), total.dice.tolist())
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()
