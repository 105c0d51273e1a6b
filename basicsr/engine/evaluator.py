"""Restore every image of a data set, judge each one, and put the numbers of all processes together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from tqdm import tqdm

from basicsr.config.schema import MetricOptions, ValOptions
from basicsr.data.loader import batches
from basicsr.data.paired import ImageDataset
from basicsr.engine.inference import windows_of
from basicsr.engine.trainer import move_to
from basicsr.metrics.base import Metric, as_numbers
from basicsr.metrics.summary import Summary
from basicsr.models.base import Apply, Batch, Model
from basicsr.utils.dist import Ranks, gather_objects
from basicsr.utils.errors import UserError
from basicsr.utils.files import require_short_names
from basicsr.utils.image import to_uint8, write_png
from basicsr.utils.log import logger

Image = NDArray[Any]


class EvaluationStoppedError(Exception):
    """A process was asked to leave before all images were restored."""


@dataclass(frozen=True)
class Judged:
    """One restored image or clip with its input and its reference.

    Args:
        key: of the sample.
        values: of the metrics, as they are written beside the sample.
        lq, restored, gt: (H, W, 3) or (T, H, W, 3) uint8, with the channels of the picture that is written;
            ``gt`` is the reference of the data set.
        labels: int32 (H, W), where the data set delivers label maps.
        places: where each field of the sample was read from: a file, or an entry of an LMDB. The reference
            is there as ``gt`` as well.
        picture: that was written, of a clip the middle one; None where none is.
    """

    key: str
    values: dict[str, Any]
    lq: Image
    restored: Image
    gt: Image
    labels: Image | None
    places: dict[str, str]
    picture: Path | None

    @staticmethod
    def middle(picture: Image) -> Image:
        """(H, W, 3) unchanged; of (T, H, W, 3) the frame that represents the clip."""
        return picture if picture.ndim == 3 else picture[len(picture) // 2]


@dataclass(frozen=True)
class Evaluation:
    """Result on one data set.

    Args:
        name: of the data set.
        rows: ``{"key": ..., metric: value}`` of each image, in the order of the data set. The value is a
            number, for a clip possibly a list with one per frame; it is missing where a metric has none.
        summaries: the figure of each metric for the set.
        kept: what `evaluate` was asked to keep of each image, in the same order.
    """

    name: str
    rows: list[dict[str, Any]]
    summaries: dict[str, Summary]
    kept: list[Any] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        name: str,
        keys: Sequence[str],
        values: Sequence[Mapping[str, Any]],
        metrics: Mapping[str, Metric],
        kept: Sequence[Any] = (),
    ) -> Evaluation:
        """From what `basicsr.metrics.base.Metric.measure` returned.

        Args:
            keys: of the images.
            values: of each image, by metric.

        Raises:
            UserError: a metric has no figure of these images; both are named.
        """
        rows = [{"key": key, **_numbers(item)} for key, item in zip(keys, values, strict=True)]
        summaries = {}
        for metric, item in metrics.items() if keys else ():
            with _named(metric, name, "change its options, or leave it out"):
                summaries[metric] = item.summarize(measured[metric] for measured in values)
        return cls(name, rows, summaries, list(kept))

    @property
    def mean(self) -> dict[str, float]:
        """The figure of the set of each metric: the mean of the finite values, unless it has another."""
        return {name: summary.mean for name, summary in self.summaries.items()}


def build_metrics(options: Mapping[str, MetricOptions]) -> dict[str, Metric]:
    """Metrics by the name that tables show."""
    return {name: Metric.of(item) for name, item in options.items()}


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
    stop: Callable[[], bool] = lambda: False,
    needs_pictures: bool = True,
) -> Evaluation:
    """Evaluate this process's share of a data set and gather all shares.

    Args:
        loader: from `basicsr.data.loader.evaluation_loader`, batches of one image.
        name: of the data set.
        metrics: from `build_metrics`.
        options: windows, rounding, order of channels.
        picture: where the picture of a key is written, of a clip as `picture_of_frame`; None writes none.
        keep: what else is kept of an image, small and picklable (pictures are not kept in memory).
        stop: asked before each image, or before those that are restored at once.
        needs_pictures: whether a picture that cannot be written is an error; else it is a warning, and no
            further ones are written.

    Returns:
        The same on every process. ``model`` is left in the mode it was in.

    Raises:
        UserError: a metric cannot judge an image, e.g. one smaller than its window, or needs what the data
            set does not deliver; both are named.
        OSError: a picture cannot be written.
        EvaluationStoppedError: in every process, when ``stop`` was true in one.
    """
    dataset = loader.dataset
    assert isinstance(dataset, ImageDataset)
    _check_needs(metrics, {"restored", "gt", "key", *dataset.delivers, *model.figure_names}, name)
    if picture is not None:
        require_short_names(picture(key) for key in dataset.keys)
    was_training = model.training
    model.eval()
    results = []
    is_stopped = False
    shown: Iterable[Batch] = tqdm(
        batches(loader),
        name,
        total=len(loader),
        unit="image",
        disable=None if ranks.is_main else True,
        leave=False,
    )
    for group in _of_equal_size(shown, options.batch_size):
        if is_stopped := stop():
            break
        for batch, restored, figures in _restore(model, group, windows_of(options), device):
            roles = {"restored": restored, "gt": batch[dataset.reference], "lq": batch["lq"]}
            images = {role: dataset.denormalize(image)[0] for role, image in roles.items()}
            if not options.rgb2bgr:
                images = {role: image.flip(-3) for role, image in images.items()}
            pictures = {role: _rounded(image) for role, image in images.items()}
            seen = pictures
            if not options.use_image:
                seen = {role: _unrounded(image) for role, image in images.items()}
            offered = {field: _only(value) for field, value in (batch | figures).items()}
            offered |= {**seen, dataset.reference: seen["gt"]}
            key = offered["key"]
            values = {
                metric: _judge(metric, item, f"{name}, image {key}", offered)
                for metric, item in metrics.items()
            }
            written = None
            if picture is not None:
                try:
                    written = _write(picture(key), pictures["restored"])
                except OSError as error:
                    if needs_pictures:
                        raise
                    what = "no further pictures of this validation are written"
                    logger().warning(f"{error.filename}: {error.strerror}; {what}")
                    picture = None
            kept = None
            if keep is not None:
                places = dataset.places(key)
                places |= {"gt": places[dataset.reference]}
                labels = offered.get("labels")
                kept = keep(
                    Judged(key, _numbers(values), labels=labels, places=places, picture=written, **pictures)
                )
            results.append((key, values, kept))
    model.train(was_training)
    shares = gather_objects((is_stopped, results))
    if any(stopped for stopped, _ in shares):
        raise EvaluationStoppedError
    results = interleave([share for _, share in shares])
    keys, measured, kept_of_all = zip(*results, strict=True) if results else ((), (), ())
    return Evaluation.of(name, keys, measured, metrics, kept_of_all if keep is not None else ())


def _of_equal_size(images: Iterable[Batch], most: int) -> Iterator[list[Batch]]:
    """Batches of one image -> runs of them whose tensors have equal shapes, of at most ``most``."""
    run: list[Batch] = []
    for image in images:
        if run and (len(run) == most or _shapes(image) != _shapes(run[0])):
            yield run
            run = []
        run.append(image)
    if run:
        yield run


def _shapes(batch: Batch) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in batch.items() if isinstance(value, torch.Tensor)}


@torch.no_grad()
def _restore(
    model: Model, images: Sequence[Batch], apply: Apply, device: torch.device
) -> list[tuple[Batch, torch.Tensor, dict[str, torch.Tensor]]]:
    """Restore batches of one image at once.

    Returns:
        Of each image, the batch as it was, the restored image (1, .., H, W) and the model's figures (1, ..),
        on the CPU.
    """
    moved = move_to(_joined(images), device)
    restored = model.predict(moved, apply)
    figures = {name: value.cpu().split(1) for name, value in model.figures(moved, restored).items()}
    return [
        (image, one, {name: values[number] for name, values in figures.items()})
        for number, (image, one) in enumerate(zip(images, restored.cpu().split(1), strict=True))
    ]


def _joined(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]  # stays in pinned memory
    columns = {name: [batch[name] for batch in batches] for name in batches[0]}
    return {
        name: torch.cat(column) if isinstance(column[0], torch.Tensor) else [*chain(*column)]
        for name, column in columns.items()
    }


def interleave(shares: list[list[Any]]) -> list[Any]:
    """Shares of the processes, as `ShareSampler` made them -> items in the order of the data set."""
    longest = max(len(share) for share in shares)
    return [share[index] for index in range(longest) for share in shares if index < len(share)]


def picture_of_frame(picture: Path, number: int) -> Path:
    """Where frame ``number``, from 1, of the clip ``picture`` lies: ``<key>/0001.png`` of ``<key>.png``."""
    return picture.with_suffix("") / f"{number:04d}.png"


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of the values of a sample."""
    numbers = {metric: as_numbers(value) for metric, value in values.items()}
    return {metric: number for metric, number in numbers.items() if number is not None}


def _write(path: Path, picture: Image) -> Path:
    """Write (H, W, 3), or each frame of (T, H, W, 3); returns the picture that stands for all."""
    if picture.ndim == 3:
        write_png(path, picture)
        return path
    for number, frame in enumerate(picture, 1):
        write_png(picture_of_frame(path, number), frame)
    return picture_of_frame(path, len(picture) // 2 + 1)


def _check_needs(metrics: Mapping[str, Metric], offered: Set[str], name: str) -> None:
    for metric, item in metrics.items():
        missing = [needed for needed in item.needs if needed not in offered]
        if missing:
            what = (
                f"needs '{missing[0]}', which {name} does not deliver (it has {', '.join(sorted(offered))})"
            )
            raise UserError(f"val.metrics.{metric}: {what}; take another data set type, or leave it out")


def _judge(name: str, metric: Metric, of: str, offered: Mapping[str, Any]) -> Any:
    with _named(name, of, "change its options, or leave the image or the metric out"):
        return metric.measure(offered)


@contextmanager
def _named(metric: str, of: str, hint: str) -> Iterator[None]:
    """An error of a metric becomes one line that names what it was about."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"val.metrics.{metric}: {error} ({of}); {hint}") from error


def _only(value: Any) -> Any:
    """What a batch of one holds of its sample."""
    if isinstance(value, torch.Tensor):
        return value[0].numpy()
    return value[0] if isinstance(value, (list, tuple)) else value


def _rounded(image: torch.Tensor) -> Image:
    """(.., 3, H, W) -> uint8 (.., H, W, 3)."""
    return to_uint8(image) if image.ndim == 3 else np.stack([to_uint8(frame) for frame in image])


def _unrounded(image: torch.Tensor) -> Image:
    """(.., 3, H, W) -> float64 (.., H, W, 3), clamped to [0, 1]."""
    return image.double().clamp(0, 1).movedim(-3, -1).contiguous().numpy()
