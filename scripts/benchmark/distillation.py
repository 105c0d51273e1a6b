"""What distilling semantic priors costs in training: ``python scripts/benchmark/distillation.py``.

Time and memory of a whole step (f1, f2 with SPF units, SPD, SGR with a VGG) beside a step of f1 alone; and of
SGR's relations by label maps beside one plane of masks per region; on the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inputs import blurred, photo, region_map
from memory import peak_memory, printed_bytes, reset_peak
from references import dense_region_relations
from report import circumstances, replace_block, table
from sides import SIDES
from timing import Work, interleave
from torch import Tensor, nn
from tqdm import tqdm

from basicsr.archs.base import build_network
from basicsr.config.cli import run_command
from basicsr.layers.pretrained import random_vgg
from basicsr.losses import L1Loss
from basicsr.losses.semantic_relation import region_relations
from basicsr.masks.largest import rank_regions
from basicsr.models import ImageRestorationModel, SemanticDistillationModel
from basicsr.models.base import Batch, Model
from basicsr.utils.errors import UserError
from basicsr.utils.typed_path import typed_path

HEAD = ("ours / reference", "what", "ours", "reference", "ratio", "checked before")
SIDE = 128
BATCH = 2
REGIONS = 16
TOLERANCE = 1e-5  # of the largest value
# As the option files of the reduced networks have them.
NETWORKS: dict[str, dict[str, Any]] = {
    "nafnet": {
        "type": "NAFNet", "width": 16, "enc_blk_nums": [1, 1, 2, 4], "middle_blk_num": 1,
        "dec_blk_nums": [1, 1, 1, 1],
    },
    "rcdnet": {"type": "RCDNet", "num_stages": 4, "num_maps": 16, "num_duals": 16, "num_blocks": 2},
    "efficient_derain": {"type": "EfficientDerain", "width": 12},
    "uformer": {"type": "Uformer", "embed_dim": 8, "depths": [1] * 9, "modulator": True},
}  # fmt: skip
# Channels of the features, and how many times smaller than the image they are.
FEATURES = {"relu1_2": (64, 1), "relu3_4": (256, 4)}


@dataclass(frozen=True)
class Pair:
    """Two pieces of work that are compared.

    Args:
        title: what is compared with what.
        ours, reference: the work.
        agree: what is found equal, in words; raises `UserError` where it is not.
    """

    title: str
    ours: Work
    reference: Work
    agree: Callable[[], str]


def main() -> None:
    """Entry point."""
    cases = [*NETWORKS, *FEATURES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each row; default: 5")
    parser.add_argument("--only", nargs="+", choices=cases, metavar="NAME", help=f"of {', '.join(cases)}")
    parser.add_argument("--size", type=int, default=SIDE, help=f"side of the crops; default: {SIDE} pixels")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"crops per step; default: {BATCH}")
    parser.add_argument("--regions", type=int, default=REGIONS, help=f"of each crop; default: {REGIONS}")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    parser.add_argument("--growth", choices=SIDES, help="only print the growth of one side in bytes")
    typed = parser.parse_args()
    for name in ("rounds", "size", "batch", "regions"):
        if getattr(typed, name) < 1:
            parser.error(f"--{name} takes 1 or more, not {getattr(typed, name)}")
    names, crops = typed.only or cases, (typed.batch, typed.size, typed.regions)
    if typed.growth is not None:
        print(growth(prepare(names[0], *crops), typed.growth))
    else:
        run_command(lambda: run(names, crops, typed.rounds, typed.write), debug=False)


def run(names: list[str], crops: tuple[int, int, int], rounds: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    rows = [row for name in tqdm(names, unit="case") for row in measure(name, crops, rounds)]
    batch, side, regions = crops
    facts = f"* Rounds: {rounds}\n* {batch} crops of {side}x{side} pixels, {regions} regions each"
    text = f"{table(HEAD, rows)}\n\n{circumstances(torch.device('cpu'))}\n{facts}"
    print(text)
    if document is not None:
        replace_block(document, "distillation on cpu", text)


def measure(name: str, crops: tuple[int, int, int], rounds: int) -> list[list[str]]:
    """The lines of time and memory of a case."""
    pair = prepare(name, *crops)
    agreement = pair.agree()
    times = interleave(pair.ours, pair.reference, rounds)
    ratio = statistics.median(mine / other for mine, other in zip(*times, strict=True))
    milliseconds = [f"{statistics.median(values):,.3g} ms" for values in times]
    batch, side, regions = map(str, crops)
    words = (__file__, "--only", name, "--batch", batch, "--size", side, "--regions", regions, "--growth")
    ours, reference = (printed_bytes([*words, kind]) for kind in SIDES)
    megabytes = [f"{value / 1e6:,.1f} MB" for value in (ours, reference)]
    share = f"{ours / reference:.3g}×" if reference else "–"
    return [
        [pair.title, "time", *milliseconds, f"{ratio:.3g}×", agreement],
        [pair.title, "memory", *megabytes, share, agreement],
    ]


def prepare(name: str, batch: int, side: int, regions: int) -> Pair:
    """A case on ``batch`` crops of ``side`` pixels with so many regions each."""
    if name in NETWORKS:
        return _steps(NETWORKS[name], example(batch, side, regions), regions)
    return _relations(name, example(batch, side, regions)["labels"], regions)


def example(batch: int, side: int, regions: int) -> Batch:
    """Crops of a photo, blurred, with label maps."""
    sharp = photo("astronaut.png", side, side)
    images = [torch.from_numpy(np.float32(x).transpose(2, 0, 1) / 255) for x in (blurred(sharp), sharp)]
    lq, gt = (image.repeat(batch, 1, 1, 1) for image in images)
    maps = [torch.from_numpy(region_map(side, side, regions, seed)) for seed in range(batch)]
    return {"lq": lq, "gt": gt, "labels": torch.stack(maps)}


def _steps(block: dict[str, Any], batch: Batch, regions: int) -> Pair:
    """A training step with all of the distillation, and one of the same network alone."""
    wrapped = {"type": "WithSPF", "net": block, "regions": regions}
    whole, alone = build_network(block), build_network(block)
    alone.load_state_dict(whole.state_dict())
    losses = {"l_pix": L1Loss()}
    with tempfile.TemporaryDirectory() as folder:
        vgg = Path(folder) / "vgg.pth"
        torch.save(random_vgg("vgg19", "relu3_4", 0), vgg)
        distillation = SemanticDistillationModel(
            {"g": whole, "second": build_network(wrapped)},
            losses,
            spd={"type": "SmoothL1Loss"},
            sgr={"type": "SemanticRelationLoss", "vgg_weights": str(vgg), "regions": regions},
            weighting="paper",
        )
    plain = ImageRestorationModel({"g": alone}, losses)

    def agree() -> str:
        with torch.no_grad():
            images = [model.eval().predict(batch) for model in (distillation, plain)]
        for model in (distillation, plain):
            model.train()
        if not torch.equal(*images):
            raise UserError(f"{block['type']}: the images of f1 differ: nothing to compare")
        return "images of f1 are equal"

    works = [partial(_step, model, batch) for model in (distillation, plain)]
    return Pair(f"{block['type']}: whole step / f1 alone", *works, agree)


def _step(model: Model, batch: Batch) -> None:
    """Forward and backward, without the optimizer."""
    model.training_step(batch)["loss"].backward()
    model.zero_grad(set_to_none=True)


def _relations(layer: str, labels: Tensor, regions: int) -> Pair:
    """From label maps and features to relations, and back to the gradient of the features."""
    channels, reduction = FEATURES[layer]
    size = [side // reduction for side in labels.shape[1:]]
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(labels), channels, *size, generator=generator, requires_grad=True)
    ranks = rank_regions(labels, regions)

    def by_label_maps() -> Tensor:
        small = nn.functional.interpolate(ranks[:, None].float(), size=size, mode="nearest-exact")[:, 0]
        return region_relations(features, small.long(), regions)[0]

    def by_planes() -> Tensor:
        return dense_region_relations(features, ranks, regions)

    def gradient(relations: Callable[[], Tensor]) -> Tensor:
        return torch.autograd.grad(relations().square().sum(), features)[0]

    def agree() -> str:
        with torch.no_grad():
            pairs = [(by_label_maps(), by_planes())]
        pairs.append((gradient(by_label_maps), gradient(by_planes)))
        largest = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
        if not largest <= TOLERANCE:
            raise UserError(f"{layer}: relations differ by {largest:g} of the largest: nothing to compare")
        return f"max difference {largest:.1g} of the largest value (≤ {TOLERANCE:g})"

    works = [partial(gradient, relations) for relations in (by_label_maps, by_planes)]
    return Pair(f"relations of {layer}: label maps / planes", *works, agree)


def growth(pair: Pair, kind: str) -> int:
    """Bytes by which the peak of this process rises in one piece of work (Linux)."""
    layer = nn.Conv2d(3, 3, 3, padding=1)
    layer(torch.zeros(1, 3, 8, 8)).mean().backward()  # what the first call of all loads
    before = reset_peak()
    getattr(pair, kind)()
    return peak_memory() - before


if __name__ == "__main__":
    main()
