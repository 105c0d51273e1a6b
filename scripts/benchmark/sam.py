"""Time everything mode on whole photos against SamAutomaticMaskGenerator.

A photo of 1280x720, 32 x 32 points. With official weights (--checkpoint) the thresholds are the default ones;
without, the weights are random, so no quality passes them and all masks are kept up to NMS.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from inputs import PHOTOS, photo
from numpy.typing import NDArray
from report import circumstances, replace_block, table
from timing import Goal, Row, compare

from basicsr.config.cli import run_command
from basicsr.segmenters.everything import Everything, Options
from basicsr.segmenters.sam import Model, Precision, SamDecoder, load_sam
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.typed_path import typed_path

HEAD = ("1280x720, whole image", "ours", "SamAutomaticMaskGenerator", "ratio", "goal", "met", "masks")
MODELS: tuple[Model, ...] = ("vit_b", "vit_h")
PRECISIONS: dict[Precision, str] = {"off": "float32", "bf16": "bf16, the library in float32"}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="default: both")
    parser.add_argument("--checkpoint", type=typed_path, help="official weights, for a single model")
    parser.add_argument("--points", type=int, default=32, metavar="N", help="points a side; default: 32")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="points at once; default: 64")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each row; default: 5")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    if typed.checkpoint is not None and len(typed.models) != 1:
        parser.error("--checkpoint takes a single one of --models")
    run_command(lambda: run(typed), debug=False)


def run(typed: argparse.Namespace) -> None:
    """Measure, print, and write into the document."""
    if typed.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; measure with --device cpu")
    device = torch.device(typed.device)
    options = Options(points_per_side=typed.points)
    if typed.checkpoint is None:
        options = Options(points_per_side=typed.points, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    rows = []
    for model in typed.models:
        network = _network(model, typed.checkpoint).to(device)
        for amp, name in PRECISIONS.items():
            everything = Everything(SamDecoder(network, amp), options, typed.batch)
            rows.append(measure(f"{model}, {name}", everything, network, options, typed))
    text = (
        f"{table(HEAD, [_cells(row) for row in rows])}\n\n{circumstances(device)}\n* Rounds: {typed.rounds}"
    )
    print(text)
    if typed.write is not None:
        replace_block(typed.write, f"sam on {device.type}", text)


def measure(
    name: str, everything: Everything, network: Any, options: Options, typed: argparse.Namespace
) -> Row:
    """Time both; the library's generator runs in float32, as it comes."""
    library: Any = optional_import("segment_anything", "the benchmark", "pip install segment-anything")
    generator = library.SamAutomaticMaskGenerator(network, points_per_batch=typed.batch, **asdict(options))
    image = photo(PHOTOS[0], 720, 1280)

    def ours() -> NDArray[Any]:
        return everything.masks(image).cpu().numpy()

    def reference() -> list[dict[str, Any]]:
        return generator.generate(image)

    agreement = f"{len(ours())} and {len(reference())}"
    return compare(name, Goal("faster", 5), agreement, ours, reference, typed.rounds)


def _network(model: Model, checkpoint: Path | None) -> Any:
    if checkpoint is not None:
        return load_sam(model, checkpoint)
    package: Any = optional_import("segment_anything", "the benchmark", "pip install segment-anything")
    torch.manual_seed(0)
    return package.sam_model_registry[model]().requires_grad_(False).eval()


def _cells(row: Row) -> list[str]:
    times = [f"{time / 1000:.3g} s" for time in (row.ours, row.reference)]
    return [row.name, *times, f"{row.ratio:.3g}×", str(row.goal), "yes" if row.met else "no", row.agreement]


if __name__ == "__main__":
    main()
