"""Compare MAXIM with another program that runs its published graph: ``python scripts/benchmark/maxim.py``.

CPU seconds of one picture, all threads together, least of some rounds in alternation; float32 and bf16. Each
program runs in a process of its own, ours as ``sam-deblur restore`` does (`processes`). The other one is a
Python file with a class ``Maxim(FOLDER)`` whose ``forward((1, H, W, 3), dtype)`` gives the restored image;
FOLDER is ``models`` of the unpacked npm package.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from inputs import photo
from processes import serve, started
from report import circumstances, replace_block, table
from timing import Goal
from torch import Tensor

from basicsr.config.cli import run_command
from basicsr.restoration.weights import find_weights, load_any
from basicsr.utils.allocator import keep_freed_memory
from basicsr.utils.errors import UserError
from basicsr.utils.typed_path import typed_path

HEAD = ("pixels", "precision", "ours", "reference", "ratio", "goal", "met", "difference")
GOAL = Goal("cost", 0.6)
TOLERANCE = {"float32": 1e-5, "bf16": 0.1}  # of the range
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


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
    for name in ("--side", "--precision", "--result"):  # of a process that is timed
        parser.add_argument(name, help=argparse.SUPPRESS)
    typed = parser.parse_args()
    if typed.rounds < 1 or typed.threads < 1:
        parser.error("--rounds and --threads take 1 or more")
    run_command(lambda: run(typed) if typed.side is None else contend(typed), debug=False)


def run(typed: argparse.Namespace) -> None:
    """Measure, print, and write into the document."""
    precisions = ["float32"] if typed.float32 else ["float32", "bf16"]
    rows = [measure(typed, size, precision) for size in typed.sizes for precision in precisions]
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


def measure(typed: argparse.Namespace, size: int, precision: str) -> list[str]:
    """One line of the table."""
    words = [__file__, "--reference", str(typed.reference), "--graph", str(typed.graph)]
    words += ["--weights", typed.weights, "--threads", str(typed.threads), "--sizes", str(size)]
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        words += ["--result", f"{place}/result.npy", "--precision", precision, "--side"]
        # The reference writes its result, with which ours is compared.
        sides = [stack.enter_context(started(side, [*words, side])) for side in ("reference", "ours")]
        for _ in range(typed.rounds):
            for side in sides:
                side.time()
    difference = sides[1].difference
    if not difference <= TOLERANCE[precision]:
        raise UserError(f"results differ by {difference:g} of the range: nothing to compare")
    reference, ours = (min(side.seconds) for side in sides)
    ratio = GOAL.ratio(ours, reference)
    figures = [f"{ours:.1f} s", f"{reference:.1f} s", f"{ratio:.2f}×"]
    met = "yes" if GOAL.met_by(ratio) else "no"
    return [f"{size} x {size}", precision, *figures, str(GOAL), met, f"{difference:.1g}"]


def contend(typed: argparse.Namespace) -> None:
    """Be one of the two programs."""
    (size,) = typed.sizes
    torch.set_num_threads(typed.threads)
    image = torch.from_numpy(photo("astronaut.png", size, size).transpose(2, 0, 1).copy())[None] / 255
    dtype = DTYPES[typed.precision]
    if typed.side == "ours":
        keep_freed_memory()
        net = load_any(find_weights(typed.weights)).eval()
        net = net if dtype == torch.float32 else net.to(dtype)
    else:
        reference = load_reference(typed.reference, typed.graph)

    def work() -> Tensor:
        if typed.side == "reference":
            return reference(image, dtype).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            restored: Tensor = net(image)
        return restored.float()

    with torch.inference_mode():
        began = time.process_time()
        result = work().numpy()
        first = time.process_time() - began
        if typed.side == "reference":
            np.save(typed.result, result)
        difference = float(np.abs(result - np.load(typed.result)).max())
        serve(work, difference, first, time.process_time)


if __name__ == "__main__":
    main()
