"""Restore every image of a data set, judge each one, and put the numbers of all processes together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from tqdm import tqdm

from basicsr.config.schema import MetricOptions, ValOptions
from basicsr.data.loader import batches
from basicsr.data.paired import ImageDataset
from basicsr.engine.inference import windows_of
from basicsr.engine.trainer import move_to
from basicsr.metrics.summary import Summary
from basicsr.models.base import Batch, Model
from basicsr.utils.dist import Ranks, gather_objects
from basicsr.utils.errors import UserError
from basicsr.utils.files import require_short_names
from basicsr.utils.image import to_uint8, write_png

Image = NDArray[Any]
Metric = Callable[[Image, Image, Image], float]


@dataclass(frozen=True)
class Judged:
    """One restored image with what it was made from and what is wanted.

    Args:
        key: of the sample.
        values: of the metrics.
        lq, restored, gt: (H, W, 3) uint8, with the channels of the picture that is written.
        labels: int32 (H, W), where the data set delivers label maps.
        places: where each field of the sample was read from: a file, or an entry of an LMDB.
    """

    key: str
    values: dict[str, float]
    lq: Image
    restored: Image
    gt: Image
    labels: Image | None
    places: dict[str, str]


@dataclass(frozen=True)
class Evaluation:
    """Result on one data set.

    Args:
        name: of the data set.
        rows: ``{"key": ..., metric: value}`` of each image, in the order of the data set.
        kept: what `evaluate` was asked to keep of each image, in the same order.
    """

    name: str
    rows: list[dict[str, Any]]
    kept: list[Any] = field(default_factory=list)

    @property
    def summaries(self) -> dict[str, Summary]:
        """What each metric says of the set."""
        names = [name for name in self.rows[0] if name != "key"] if self.rows else []
        return {name: Summary.of(row[name] for row in self.rows) for name in names}

    @property
    def mean(self) -> dict[str, float]:
        """Arithmetic mean of the finite values of each metric over the images."""
        return {name: summary.mean for name, summary in self.summaries.items()}


def build_metrics(options: Mapping[str, MetricOptions]) -> dict[str, Metric]:
    """Metrics by the name that tables show, each as a function of (restored, gt, lq)."""
    return {name: _of_three(item.build()) for name, item in options.items()}


def evaluate(
    model: Model,
    loader: DataLoader[Batch],
    name: str,
    metrics: Mapping[str, Metric],
    options: ValOptions,
    device: torch.device,
    ranks: Ranks,
    picture: Callable[[str], Path] | None = None,
    keep: Callable[[Judged], Any] | None = None,
) -> Evaluation:
    """Evaluate this process's share of a data set and gather all shares.

    Args:
        loader: from `basicsr.data.loader.evaluation_loader`, batches of one image.
        name: of the data set.
        metrics: from `build_metrics`.
        options: windows, rounding, order of channels.
        picture: where the picture of a key is written; None writes none.
        keep: what else is kept of an image, small and picklable (pictures are not kept in memory).

    Returns:
        The same on every process. ``model`` is left in the mode it was in.

    Raises:
        UserError: a metric cannot judge an image, e.g. one smaller than its window; both are named.
    """
    dataset = loader.dataset
    assert isinstance(dataset, ImageDataset)
    if picture is not None:
        require_short_names(picture(key) for key in dataset.keys)
    apply = windows_of(options)
    was_training = model.training
    model.eval()
    results = []
    shown: Iterable[Batch] = tqdm(
        batches(loader),
        name,
        total=len(loader),
        unit="image",
        disable=None if ranks.is_main else True,
        leave=False,
    )
    with torch.no_grad():
        for batch in shown:
            restored = model.predict(move_to(batch, device), apply).cpu()
            images = {
                role: dataset.denormalize(image)[0]
                for role, image in (("restored", restored), ("gt", batch["gt"]), ("lq", batch["lq"]))
            }
            if not options.rgb2bgr:
                images = {role: image.flip(0) for role, image in images.items()}
            pictures = {role: to_uint8(image) for role, image in images.items()}
            seen = pictures
            if not options.use_image:
                seen = {role: _unrounded(image) for role, image in images.items()}
            key = batch["key"][0]
            values = {
                metric: _judge(metric, function, f"{name}, image {key}", seen)
                for metric, function in metrics.items()
            }
            if picture is not None:
                write_png(picture(key), pictures["restored"])
            kept = None
            if keep is not None:
                labels = batch["labels"][0].numpy() if "labels" in batch else None
                kept = keep(Judged(key, values, labels=labels, places=dataset.places(key), **pictures))
            results.append(({"key": key, **values}, kept))
    model.train(was_training)
    results = interleave(gather_objects(results))
    rows = [row for row, _ in results]
    return Evaluation(name, rows, [kept for _, kept in results] if keep is not None else [])


def interleave(shares: list[list[Any]]) -> list[Any]:
    """Shares of the processes, as `ShareSampler` made them -> items in the order of the data set."""
    longest = max(len(share) for share in shares)
    return [share[index] for index in range(longest) for share in shares if index < len(share)]


def _judge(name: str, metric: Metric, of: str, images: Mapping[str, Image]) -> float:
    try:
        return metric(images["restored"], images["gt"], images["lq"])
    except ValueError as error:
        way_on = "change its options, or leave the image or the metric out"
        raise UserError(f"val.metrics.{name}: {error} ({of}); {way_on}") from error


def _unrounded(image: torch.Tensor) -> Image:
    """(3, H, W) -> float64 (H, W, 3), clamped to [0, 1]."""
    return image.double().clamp(0, 1).permute(1, 2, 0).contiguous().numpy()


def _of_three(metric: Callable[..., float]) -> Metric:
    takes = inspect.signature(metric).parameters
    return functools.partial(_call, metric, tuple(name for name in ("restored", "gt", "lq") if name in takes))


def _call(
    metric: Callable[..., float], takes: tuple[str, ...], restored: Image, gt: Image, lq: Image
) -> float:
    images = {"restored": restored, "gt": gt, "lq": lq}
    return metric(**{name: images[name] for name in takes})
