"""Time aligned PSNR and SSIM against the direct formulation: ``python scripts/benchmark/alignment.py``.

Pairs of 1280x720: a photo under a short straight motion, shifted and dimmed, and the photo itself. The direct
formulation runs in one process, in which OpenCV may use all cores; ours, of folders, is evaluate_aligned with
the start of its processes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from inputs import PHOTOS, blurred, photo
from numpy.typing import NDArray
from references import direct_aligned_scores
from report import circumstances, replace_block, table
from timing import Goal, Row, compare

from basicsr.config.cli import run_command
from basicsr.metrics.alignment import aligned_scores
from basicsr.protocols.aligned import evaluate_aligned
from basicsr.protocols.job import EvaluationJob
from basicsr.utils.cores import usable_cores
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png
from basicsr.utils.typed_path import typed_path

HEAD = ("1280x720", "ours", "direct formulation", "ratio", "goal", "met", "checked before")
SIZE = (720, 1280)
MOVED = ((3, -5), (-7, 2), (1, 9), (-4, -4))  # pixels down and right
DIMMED = 0.93
GOAL = Goal("faster", 3)

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each row; default: 3")
    parser.add_argument("--pairs", type=int, default=8, help="in the rows of folders; default: 8")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    if min(typed.rounds, typed.pairs) < 1:
        parser.error("--rounds and --pairs take 1 or more")
    run_command(lambda: run(typed.rounds, typed.pairs, typed.write), debug=False)


def run(rounds: int, count: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    pairs = [moved_pair(number) for number in range(count)]
    agreement = check(pairs[: len(PHOTOS)])
    one, *_ = pairs
    rows = [
        compare(
            "one pair in one process",
            GOAL,
            agreement,
            partial(aligned_scores, *one),
            partial(direct_aligned_scores, *one),
            rounds,
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = write_folders(Path(folder), pairs)
        name = f"{count} restored and {count} blurry photos, {usable_cores()} cores"
        rows.append(compare(name, GOAL, agreement, command, partial(direct, pairs), rounds))
    text = f"{table(HEAD, [_cells(row) for row in rows])}\n\n{circumstances(torch.device('cpu'))}"
    text += f"\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, "alignment", text)


def moved_pair(number: int) -> Pair:
    """A blurred, shifted and darker photo, and the photo."""
    index = number % len(PHOTOS)
    gt = photo(PHOTOS[index], *SIZE)
    down, right = MOVED[index]
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(blurred(gt), shift, SIZE[::-1], borderMode=cv2.BORDER_REFLECT)
    return np.round(moved * DIMMED).astype(np.uint8), gt


def check(pairs: list[Pair]) -> str:
    """Compare the scores of both.

    Raises:
        UserError: they differ.
    """
    found = np.array([aligned_scores(*pair) for pair in pairs])
    psnr, ssim = np.abs(found - [direct_aligned_scores(*pair) for pair in pairs]).max(axis=0)
    if psnr > 1e-3 or ssim > 1e-5:
        raise UserError(f"the scores differ by {psnr:.1g} dB and {ssim:.1g}")
    return f"{len(pairs)} pairs: max difference {psnr:.0e} dB, SSIM {ssim:.0e}"


def write_folders(folder: Path, pairs: list[Pair]) -> Callable[[], object]:
    """Write blurry, restored and sharp photos; returns the command's work on them."""
    for number, (restored, gt) in enumerate(pairs):
        for kind, image in (("blurry", restored), ("restored", restored), ("sharp", gt)):
            write_png(folder / kind / f"{number}.png", image)
    job = EvaluationJob(
        folder / "blurry",
        folder / "restored",
        folder / "sharp",
        folder / "out",
        pictures=False,
        overwrite=True,
    )
    return partial(evaluate_aligned, job)


def direct(pairs: list[Pair]) -> None:
    """The scores of the command, one after another; reading the photos is left out."""
    for pair in pairs:
        for _ in ("restored", "blurry"):
            direct_aligned_scores(*pair)


def _cells(row: Row) -> list[str]:
    times = [f"{time / 1000:.3g} s" for time in (row.ours, row.reference)]
    return [row.name, *times, f"{row.ratio:.3g}×", str(row.goal), "yes" if row.met else "no", row.agreement]


if __name__ == "__main__":
    main()
