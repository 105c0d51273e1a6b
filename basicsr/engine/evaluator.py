"""Restore every image of a data set, judge each one, and put the numbers of all processes together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from tqdm import tqdm

from basicsr.config.schema import MetricOptions, ValOptions
from basicsr.data.loader import batches
from basicsr.data.paired import PairedImageDataset
from basicsr.engine.inference import windows_of
from basicsr.engine.trainer import move_to
from basicsr.models.base import Batch, Model
from basicsr.utils.dist import Ranks, gather_objects
from basicsr.utils.image import to_uint8, write_png

Image = NDArray[Any]
Metric = Callable[[Image, Image, Image], float]


@dataclass(frozen=True)
class Evaluation:
    """Result on one data set.

    Args:
        name: of the data set.
        rows: ``{"key": ..., metric: value}`` of each image, in the order of the data set.
    """

    name: str
    rows: list[dict[str, Any]]

    @property
    def mean(self) -> dict[str, float]:
        """Arithmetic mean of each metric over the images."""
        names = [name for name in self.rows[0] if name != "key"] if self.rows else []
        return {name: float(np.mean([row[name] for row in self.rows])) for name in names}


def build_metrics(options: Mapping[str, MetricOptions] | None) -> dict[str, Metric]:
    """Metrics by the name that tables show, each as a function of (restored, gt, lq)."""
    return {name: _of_three(item.build()) for name, item in (options or {}).items()}


def evaluate(
    model: Model,
    loader: DataLoader[Batch],
    name: str,
    metrics: Mapping[str, Metric],
    options: ValOptions,
    device: torch.device,
    ranks: Ranks,
    picture: Callable[[str], Path] | None = None,
) -> Evaluation:
    """Evaluate this process's share of a data set and gather all shares.

    Args:
        loader: from `basicsr.data.loader.evaluation_loader`, batches of one image.
        name: of the data set.
        metrics: from `build_metrics`.
        options: windows, rounding, order of channels.
        picture: where the picture of a key is written; None writes none.

    Returns:
        The same on every process. ``model`` is left in the mode it was in.
    """
    dataset = loader.dataset
    assert isinstance(dataset, PairedImageDataset)
    apply = windows_of(options)
    was_training = model.training
    model.eval()
    rows = []
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
                field: dataset.denormalize(image)[0]
                for field, image in (("restored", restored), ("gt", batch["gt"]), ("lq", batch["lq"]))
            }
            if not options.rgb2bgr:
                images = {field: image.flip(0) for field, image in images.items()}
            seen = {field: _as_seen(image, options.use_image) for field, image in images.items()}
            key = batch["key"][0]
            values = {
                metric: function(seen["restored"], seen["gt"], seen["lq"])
                for metric, function in metrics.items()
            }
            rows.append({"key": key, **values})
            if picture is not None:
                write_png(picture(key), to_uint8(images["restored"]))
    model.train(was_training)
    return Evaluation(name, interleave(gather_objects(rows)))


def interleave(shares: list[list[Any]]) -> list[Any]:
    """Shares of the processes, as `ShareSampler` made them -> items in the order of the data set."""
    longest = max(len(share) for share in shares)
    return [share[index] for index in range(longest) for share in shares if index < len(share)]


def _as_seen(image: torch.Tensor, as_image: bool) -> Image:
    """What metrics see: an 8-bit image, or unrounded values in [0, 1]; both (H, W, 3)."""
    if as_image:
        return to_uint8(image)
    return image.double().clamp(0, 1).permute(1, 2, 0).contiguous().numpy()


def _of_three(metric: Callable[..., float]) -> Metric:
    takes = inspect.signature(metric).parameters
    return functools.partial(_call, metric, tuple(name for name in ("restored", "gt", "lq") if name in takes))


def _call(
    metric: Callable[..., float], takes: tuple[str, ...], restored: Image, gt: Image, lq: Image
) -> float:
    images = {"restored": restored, "gt": gt, "lq": lq}
    return metric(**{name: images[name] for name in takes})
