"""Where the time of NAFNet goes, by PyTorch's profiler: ``python scripts/benchmark/shares.py``.

The networks and steps are those of `contestants`. Time is that of each operation without those that it calls.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from contestants import CONTESTANTS, SHAPE
from inputs import photo
from report import circumstances, replace_block, table
from torch.profiler import ProfilerActivity, profile

from basicsr.archs.nafnet import NAFNet
from basicsr.config.cli import run_command
from basicsr.utils.typed_path import typed_path

COLUMNS = {
    "ours": "forward, float32",
    "ours_bf16": "forward, bf16",
    "step_ours": "training step, float32",
    "step_ours_bf16": "training step, bf16",
}
# By the beginning of the name of an operation; the first one that fits counts.
KINDS = {
    "convolutions, backward": ("convolution_backward", "mkldnn_convolution_backward"),
    "convolutions": ("mkldnn_convolution", "_slow_conv2d", "_convolution", "convolution", "conv2d"),
    "LayerNorm2d": ("native_layer_norm",),
    "products and sums of elements": ("mul", "add", "addcmul", "div", "sub"),
    "means and sums": ("mean", "sum", "linalg_vector_norm"),
    "copies": ("copy_", "_to_copy", "cat", "pixel_", "clone", "fill_", "zero_", "constant_pad_nd"),
    "optimizer": ("_fused_adamw_",),
}
OTHERS = "others, and PyTorch itself"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are added up; default: 5")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    run_command(lambda: run(typed.rounds, typed.write), debug=False)


def run(rounds: int, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder))
        found = {title: measure(name, Path(folder), rounds) for name, title in COLUMNS.items()}
    rows = [[kind, *(f"{times[kind] / times.total():.1%}" for times in found.values())]
            for kind in (*KINDS, OTHERS)]  # fmt: skip
    rows.append(["seconds", *(f"{times.total() / rounds:.3f}" for times in found.values())])
    text = f"{table(('share of the time', *found), rows)}\n\n{circumstances(torch.device('cpu'))}"
    text += f"\n* Rounds: {rounds}, added up; the profiler takes time, too, most where operations are small"
    print(text)
    if document is not None:
        replace_block(document, "shares on cpu", text)


def write_inputs(folder: Path) -> None:
    """What `contestants` reads."""
    torch.manual_seed(0)
    torch.save(NAFNet(**SHAPE).state_dict(), folder / "net.pth")
    image = photo("astronaut.png", 512, 512).transpose(2, 0, 1)[None].astype(np.float32) / 255
    np.save(folder / "image.npy", image)


def measure(name: str, folder: Path, rounds: int) -> Counter[str]:
    """Seconds of each kind."""
    work = CONTESTANTS[name](folder)
    for _ in range(2):
        work()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(rounds):
            work()
    return by_kind({entry.key: entry.self_cpu_time_total / 1e6 for entry in profiler.key_averages()})


def by_kind(seconds: Mapping[str, float]) -> Counter[str]:
    """Seconds by operation -> by the keys of `KINDS` and `OTHERS`."""
    times: Counter[str] = Counter()
    for operation, of_it in seconds.items():
        name = operation.removeprefix("aten::")
        kind = next((kind for kind, names in KINDS.items() if name.startswith(names)), OTHERS)
        times[kind] += of_it
    return times


if __name__ == "__main__":
    main()
