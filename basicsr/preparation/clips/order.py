"""Brings the frames of clips into a consistent direction of time, with a trained ordering network."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from basicsr.archs.ordering import OrderingNetwork, directions, mirror_scores
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.data.clip_metadata import PARTITIONS, Clip, ClipMetadata, Order, read_clip_metadata
from basicsr.data.clips import ClipDataset
from basicsr.data.paired import IoBackend
from basicsr.storage import is_lmdb
from basicsr.utils.devices import choose_device
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger

SCORES = ".scores.csv"

_ORDERS: dict[int, Order] = {1: "keep", -1: "reverse", 0: "ignore"}


@dataclass(frozen=True)
class OrderJob:
    """The job of `order_frames`.

    Args:
        metadata: ``metadata.json``; its own orders are ignored.
        output: the same clips with ``reverse``, ``keep``, or ``ignore`` if the pairs of a clip disagree. The
            scores go to ``<output>.scores.csv``.
        weights: of an ordering network.
        root: folder (or LMDB) that the paths are relative to; None is that of ``metadata``.
        box_size: see `basicsr.data.clips.ClipDataset`.
        device: in PyTorch's notation; ``auto`` is a GPU if there is one.
        dry_run: only report what would be written.
        overwrite: replace an output with different contents.
    """

    metadata: Path
    output: Path
    weights: Path
    root: Path | None = None
    box_size: tuple[int, int] | None = None
    device: str = "auto"
    dry_run: bool = False
    overwrite: bool = False


def order_frames(job: OrderJob) -> Counter[Order]:
    """Decide on each clip from its stored frames, so a second run writes the same.

    Returns:
        Number of clips for each order.

    Raises:
        UserError: if the weights are not of an ordering network, the metadata has mistakes, or the output
            exists with different contents.
    """
    rebuilt = rebuild_network(job.weights)
    net = rebuilt.net
    if not isinstance(net, OrderingNetwork):
        what = f"{type(net).__name__} is not an ordering network"
        raise UserError(f"{job.weights}: {what}; use the weights of one, such as HyperCUTNet")
    logger().info(rebuilt.summary)
    metadata = read_clip_metadata(job.metadata)
    scores = _scores(job, net, metadata)
    clips = [replace(clip, order=_ORDERS[_direction(scores[clip.id])]) for clip in metadata.clips]
    counts = Counter(clip.order for clip in clips)
    summary = ", ".join(f"{counts[order]} {order}" for order in _ORDERS.values())
    if job.dry_run:
        logger().info(f"{job.output} would have: {summary}")
        return counts
    _write(job, replace(metadata, clips=clips), scores)
    logger().info(f"{job.output}: {summary}")
    return counts


def _scores(job: OrderJob, net: OrderingNetwork, metadata: ClipMetadata) -> dict[str, list[float]]:
    """Scores of the mirror pairs of each clip, by its id."""
    device = choose_device(job.device)
    net.to(device)
    scores: dict[str, list[float]] = {}
    root = job.root or job.metadata.parent
    with tqdm(total=len(metadata.clips), desc="ordering", unit="clip", disable=None) as bar:
        for partition in PARTITIONS:
            if not metadata.of(partition):
                continue
            dataset = ClipDataset(
                dataroot_gt=str(root),
                io_backend=IoBackend("lmdb" if is_lmdb(root) else "disk"),
                metadata=str(job.metadata),
                partition=partition,
                order="stored",
                box_size=job.box_size,
            )
            dataset.normalization = net.normalization
            for number, key in enumerate(dataset.keys):
                frames: Tensor = dataset[number]["frames"]
                with torch.inference_mode():
                    scores[key] = mirror_scores(net, frames[None].to(device))[0].tolist()
                bar.update()
    return scores


def _direction(scores: Sequence[float]) -> int:
    return int(directions(torch.tensor([scores]))[0])


def _write(job: OrderJob, metadata: ClipMetadata, scores: dict[str, list[float]]) -> None:
    if job.output.exists() and not job.overwrite:
        if read_clip_metadata(job.output) == metadata:
            logger().info(f"{job.output}: exists already with the same contents")
            return
        raise UserError(f"{job.output}: exists already with different contents; --overwrite replaces it")
    metadata.write(job.output)
    write_bytes(job.output.with_name(job.output.name + SCORES), _table(metadata.clips, scores).encode())


def _table(clips: Sequence[Clip], scores: dict[str, list[float]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    pairs = len(next(iter(scores.values()), []))
    writer.writerow(["id", "order", *(f"pair_{number}" for number in range(1, pairs + 1))])
    for clip in clips:
        writer.writerow([clip.id, clip.order, *(f"{score:.6g}" for score in scores[clip.id])])
    return buffer.getvalue()
