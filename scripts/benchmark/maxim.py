"""Compare MAXIM with another program that runs its published graph: ``python scripts/benchmark/maxim.py``.

CPU seconds of one picture, all threads together, least of some rounds in alternation; float32 and bf16. The
other program is a Python file with a class ``Maxim(FOLDER)`` whose ``forward((1, H, W, 3), dtype)`` gives the
restored image; FOLDER is ``models`` of the unpacked npm package.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import torch
from inputs import photo
from report import circumstances, replace_block, table
from timing import Goal, threads
from torch import Tensor

from basicsr.config.cli import run_command
from basicsr.restoration.weights import find_weights, load_any
from basicsr.utils.errors import UserError
from basicsr.utils.typed_path import typed_path

HEAD = ("pixels", "precision", "ours", "reference", "ratio", "goal", "met", "difference")
GOAL = Goal("cost", 0.6)
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.1}  # of the range

Restore = Callable[[Tensor], Tensor]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=typed_path, required=True, metavar="FILE", help="its Python file")
    parser.add_argument(
        "--graph", type=typed_path, required=True, metavar="FOLDER", help="models of the package"
    )
    parser.add_argument(
        "--weights", default="maxim-deblurring", metavar="NAME", help="the same weights, fetched"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[256, 512], metavar="N", help="multiples of 64"
    )
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each row; default: 3")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; default: 1")
    parser.add_argument("--float32", action="store_true", help="leave bf16 out")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    if typed.rounds < 1 or typed.threads < 1:
        parser.error("--rounds and --threads take 1 or more")
    run_command(lambda: run(typed), debug=False)


def run(typed: argparse.Namespace) -> None:
    """Measure, print, and write into the document."""
    ours = load_any(find_weights(typed.weights)).eval()
    reference = load_reference(typed.reference, typed.graph)
    precisions = [torch.float32] if typed.float32 else [torch.float32, torch.bfloat16]
    with threads(typed.threads), torch.inference_mode():
        rows = [
            measure(ours, reference, size, precision, typed.rounds)
            for size in typed.sizes
            for precision in precisions
        ]
        text = f"{table(HEAD, rows)}\n\n{circumstances(torch.device('cpu'))}\n* Rounds: {typed.rounds}"
    print(text)
    if typed.write is not None:
        replace_block(typed.write, "maxim", text)


def load_reference(file: Path, graph: Path) -> Callable[[Tensor, torch.dtype], Tensor]:
    """(1, 3, H, W), precision -> (1, 3, H, W)."""
    spec = importlib.util.spec_from_file_location("reference", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise UserError(f"--reference {file}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Maxim(graph)

    def restore(image: Tensor, precision: torch.dtype) -> Tensor:
        restored: Tensor = network.forward(image.permute(0, 2, 3, 1).contiguous(), precision)
        return restored.permute(0, 3, 1, 2)

    return restore


def measure(
    net: torch.nn.Module,
    reference: Callable[[Tensor, torch.dtype], Tensor],
    size: int,
    precision: torch.dtype,
    rounds: int,
) -> list[str]:
    """One line of the table."""
    image = torch.from_numpy(photo("astronaut.png", size, size).transpose(2, 0, 1).copy())[None] / 255

    def ours(image: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            restored: Tensor = net(image)
            return restored.float()

    works: tuple[Restore, Restore] = (ours, lambda image: reference(image, precision))
    first, second = (work(image) for work in works)  # which warms up, too
    difference = float((first - second).abs().max())
    if not difference <= TOLERANCE[precision]:
        raise UserError(f"results differ by {difference:g} of the range: nothing to compare")
    least = [min(times) for times in zip(*(cpu_seconds(works, image) for _ in range(rounds)), strict=True)]
    ratio = GOAL.ratio(*least)
    name = "float32" if precision == torch.float32 else "bf16"
    figures = [f"{seconds:.1f} s" for seconds in least] + [f"{ratio:.2f}×"]
    met = "yes" if GOAL.met_by(ratio) else "no"
    return [f"{size} x {size}", name, *figures, str(GOAL), met, f"{difference:.1g}"]


def cpu_seconds(works: tuple[Restore, Restore], image: Tensor) -> list[float]:
    """Of both, one after the other."""
    spent = []
    for work in works:
        start = time.process_time()
        work(image)
        spent.append(time.process_time() - start)
    return spent


if __name__ == "__main__":
    main()
