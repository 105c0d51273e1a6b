"""Memory for the masks of a batch, by number of regions: ``python scripts/benchmark/memory.py``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from inputs import region_map
from report import circumstances, replace_block, table
from torch import Tensor

from basicsr.config.cli import run_command
from basicsr.masks.pooling import mask_average_pool
from basicsr.utils import memory
from basicsr.utils.errors import UserError
from basicsr.utils.typed_path import typed_path

BATCH, SIZE = 32, 256
REGIONS = (10, 100, 1000)
HEAD = ("regions", "label maps", "dense float stack", "peak growth of one MAP forward")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    parser.add_argument("--growth", type=int, metavar="REGIONS", help="only print the growth in bytes")
    typed = parser.parse_args()
    if typed.growth is not None:
        print(map_growth(typed.growth))
    else:
        run_command(lambda: run(typed.write), debug=False)


def run(document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    text = f"{table(HEAD, [_cells(regions) for regions in REGIONS])}\n\n{circumstances(torch.device('cpu'))}"
    print(text)
    if document is not None:
        replace_block(document, "memory", text)


def batch_labels(regions: int) -> Tensor:
    """int32 (BATCH, SIZE, SIZE)."""
    return torch.from_numpy(region_map(SIZE, SIZE, regions)).repeat(BATCH, 1, 1)


def map_growth(regions: int) -> int:
    """Bytes by which the peak of this process rises in one forward of MAP with 2 channels (Linux)."""
    labels = batch_labels(regions)
    features = torch.rand(BATCH, 2, SIZE, SIZE)
    mask_average_pool(features[:1, :, :8, :8], labels[:1, :8, :8])  # what the first call of all loads
    before = reset_peak()
    mask_average_pool(features, labels)
    return peak_memory() - before


def _cells(regions: int) -> list[str]:
    dense = torch.empty(BATCH, regions, SIZE, SIZE, device="meta").nbytes
    growth = printed_bytes([__file__, "--growth", str(regions)])
    return [
        str(regions),
        *(f"{size / 1e6:,.1f} MB" for size in (batch_labels(regions).nbytes, dense, growth)),
    ]


def printed_bytes(words: Sequence[str]) -> int:
    """What a script prints in its own process.

    Args:
        words: path of the script and its words.
    """
    return int(subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout)


def reset_peak() -> int:
    """Set the peak of this process to what is resident now; returns it in bytes (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def peak_memory() -> int:
    """The most bytes that were resident (Linux)."""
    peak = memory.peak_memory(torch.device("cpu"))
    if peak is None:
        raise UserError("this system does not report the peak of resident memory; run it on Linux")
    return peak


if __name__ == "__main__":
    main()
