"""What tiles and bf16 cost a network, in dB, CPU time and memory, on pairs of photos.

  python scripts/benchmark/tiles.py datasets/GoPro/test --weights maxim-deblurring --limit 3

The folder has the pairs input/ and target/. Each photo is restored whole in float32 first.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from memory import peak_memory, reset_peak
from numpy.typing import NDArray
from report import circumstances, replace_block, table

from basicsr.config.cli import run_command
from basicsr.metrics import calculate_psnr, calculate_psnr_aligned
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.restoration.weights import find_weights, load_any
from basicsr.utils.allocator import keep_freed_memory, return_freed_memory
from basicsr.utils.folders import visible_files
from basicsr.utils.image import READABLE, read_rgb
from basicsr.utils.typed_path import typed_path

HEAD = ("restored", "PSNR", "aligned", "least change", "mean change", "CPU s per megapixel", "peak memory")
Photo = NDArray[np.uint8]


@dataclass(frozen=True)
class Outcome:
    """One photo, restored in one way.

    Args:
        psnr, aligned: dB to the target, without and with alignment.
        change: dB by which ``psnr`` differs from that of the whole photo in float32.
        seconds: of CPU time for a megapixel, all threads together.
        memory: bytes by which the peak of this process rose.
    """

    psnr: float
    aligned: float
    change: float
    seconds: float
    memory: int


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=typed_path, nargs="+", help="folders with input/ and target/")
    parser.add_argument("--weights", default="auto", help="file, short name or auto (default)")
    parser.add_argument(
        "--tiles", type=int, nargs="*", default=[768, 512, 384, 256], metavar="N", help="sides"
    )
    parser.add_argument("--bf16", action="store_true", help="also whole photos in bf16")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first pairs of each folder")
    parser.add_argument("--crop", type=int, metavar="N", help="only the inner N x N pixels of each photo")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    run_command(lambda: run(typed), debug=False)


def run(typed: argparse.Namespace) -> None:
    """Measure, print, and write into the document."""
    keep_freed_memory()
    pairs = [pair for folder in typed.pairs for pair in read_pairs(folder, typed.limit, typed.crop)]
    ways = {"whole": RestoreOptions(tile=0)}
    ways |= {f"tiles of {side}": RestoreOptions(tile=side) for side in typed.tiles}
    if typed.bf16:
        ways["whole, bf16"] = RestoreOptions(tile=0, amp="bf16")
    net = load_any(find_weights(typed.weights))
    whole: list[Outcome] = []
    rows = []
    for name, options in ways.items():
        restorer = Restorer(net, options)
        outcomes = [
            measure(restorer, *pair, whole[number].psnr if whole else None)
            for number, pair in enumerate(pairs)
        ]
        whole = whole or outcomes
        rows.append(_row(name, outcomes))
    text = f"{table(HEAD, rows)}\n\n{circumstances(torch.device('cpu'))}\n* Photos: {len(pairs)}"
    print(text)
    if typed.write is not None:
        replace_block(typed.write, "tiles", text)


def read_pairs(folder: Path, limit: int | None, side: int | None) -> list[tuple[Photo, Photo]]:
    """Input and target of each pair, or of the first ``limit``, or their inner ``side`` x ``side`` pixels."""
    names = [path.name for path in visible_files(folder / "input", READABLE)][:limit]
    return [
        (_inner(read_rgb(folder / "input" / name), side), _inner(read_rgb(folder / "target" / name), side))
        for name in names
    ]


def measure(restorer: Restorer, blurred: Photo, sharp: Photo, whole: float | None) -> Outcome:
    """Restore one photo.

    Args:
        blurred, sharp: RGB uint8 (H, W, 3).
        whole: dB of the whole photo in float32; None where this is it.
    """
    return_freed_memory()  # memory that is used again would not count
    before, start = reset_peak(), time.process_time()
    restored = restorer.restore(blurred)
    seconds, memory = time.process_time() - start, peak_memory() - before
    psnr = calculate_psnr(restored, sharp)
    change = 0.0 if whole is None else psnr - whole
    megapixels = blurred.shape[0] * blurred.shape[1] / 1e6
    return Outcome(psnr, calculate_psnr_aligned(restored, sharp), change, seconds / megapixels, memory)


def _inner(photo: Photo, side: int | None) -> Photo:
    if side is None:
        return photo
    top, left = (max(0, length - side) // 2 for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side, left : left + side])


def _row(name: str, outcomes: list[Outcome]) -> list[str]:
    changes = [outcome.change for outcome in outcomes]
    seconds = min(outcome.seconds for outcome in outcomes)
    memory = max(outcome.memory for outcome in outcomes)
    psnr, aligned = (
        np.mean([getattr(outcome, field) for outcome in outcomes]) for field in ("psnr", "aligned")
    )
    change = [f"{np.min(changes):+.3f}", f"{np.mean(changes):+.3f}"]
    return [name, f"{psnr:.2f}", f"{aligned:.2f}", *change, f"{seconds:.1f}", f"{memory / 1e9:.2f} GB"]


if __name__ == "__main__":
    main()
