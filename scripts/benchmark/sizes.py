"""How time and memory grow: ``python scripts/benchmark/sizes.py``.

With the area of a photo, restored whole and in tiles, and with the number of regions that are pooled. Each
point is measured in a process of its own; lines are fitted to the logarithms, so their slopes are exponents.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from exponents import Curve, exponent, panel
from inputs import region_map
from memory import peak_memory, reset_peak
from report import circumstances, replace_block, table
from tqdm import tqdm

from basicsr.archs.nafnet import NAFNet
from basicsr.config.cli import run_command
from basicsr.masks.pooling import compact_labels, drop_regions, mask_average_pool
from basicsr.reporting.line_chart import to_png
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.utils.allocator import keep_freed_memory, return_freed_memory
from basicsr.utils.files import write_bytes
from basicsr.utils.typed_path import typed_path

TILE = 768
_SIDE = 1024  # of a label map
_WIDTH, _BLOCKS = 8, [1, 1, 1]
_ROUNDS = 3


class Point(NamedTuple):
    """One measurement."""

    size: float
    seconds: float
    megabytes: float


class Series(NamedTuple):
    """What grows with what.

    Attributes:
        title: of the work.
        unit: of the sizes.
        sizes: that are measured.
        prepare: size -> the work.
    """

    title: str
    unit: str
    sizes: Sequence[float]
    prepare: Callable[[float], Callable[[], object]]


def restoring(megapixels: float, tile: int) -> Callable[[], object]:
    """A photo through a small network."""
    torch.manual_seed(0)
    net = NAFNet(width=_WIDTH, enc_blk_nums=_BLOCKS, middle_blk_num=1, dec_blk_nums=_BLOCKS)
    restorer = Restorer(net, RestoreOptions(tile=tile, guard="off", device="cpu"))
    side = round((megapixels * 1e6) ** 0.5)
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    restorer.restore(photo[:64, :64])
    return lambda: restorer.restore(photo)


def pooling(regions: float, training: bool) -> Callable[[], object]:
    """Mask average pooling of two channels, in training with mask dropout."""
    labels = compact_labels(torch.from_numpy(region_map(_SIDE, _SIDE, int(regions)))[None])
    features = torch.rand(1, 2, _SIDE, _SIDE)
    mask_average_pool(features[:, :, :8, :8], labels[:, :8, :8])
    if training:
        return lambda: mask_average_pool(features, drop_regions(labels, 0.5))
    return lambda: mask_average_pool(features, labels)


SERIES = {
    "whole": Series("restored whole", "megapixels", (1, 2, 4, 8, 16), lambda size: restoring(size, 0)),
    "tiles": Series(f"in tiles of {TILE}", "megapixels", (1, 4, 16, 64), lambda size: restoring(size, TILE)),
    "pooled": Series("pooled", "regions", (10, 100, 1000, 10_000), lambda size: pooling(size, False)),
    "dropped": Series(
        "pooled with mask dropout", "regions", (10, 100, 1000, 10_000), lambda size: pooling(size, True)
    ),
}
CHARTS = {"area": ("whole", "tiles"), "regions": ("pooled", "dropped")}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=typed_path, metavar="FILE", help="also write the table into it")
    parser.add_argument("--charts", type=typed_path, metavar="FOLDER", help="for growth_area.png and others")
    parser.add_argument("--point", nargs=2, metavar=("SERIES", "SIZE"), help="only print one measurement")
    typed = parser.parse_args()
    if typed.point is not None:
        print(json.dumps(point(typed.point[0], float(typed.point[1]))))
    else:
        run_command(lambda: run(typed.write, typed.charts), debug=False)


def point(name: str, size: float) -> Point:
    """Measure here: the least time, and by how much the peak of this process rises the first time (Linux)."""
    keep_freed_memory()  # as restoring and training do
    work = SERIES[name].prepare(size)
    return_freed_memory()  # memory that is used again would not count
    before = reset_peak()
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
        if len(seconds) == 1:
            growth = peak_memory() - before
    return Point(size, min(seconds), growth / 1e6)


def run(document: Path | None, folder: Path | None) -> None:
    """Measure, print, draw, and write into ``document``."""
    wanted = [(name, size) for name, series in SERIES.items() for size in series.sizes]
    points: dict[str, list[Point]] = {name: [] for name in SERIES}
    for name, size in tqdm(wanted, unit="point"):
        command = [sys.executable, __file__, "--point", name, str(size)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        points[name].append(Point(*json.loads(output)))
    head = ("work", "grows with", "sizes", "seconds", "exponent", "megabytes", "exponent")
    rows = [_row(series, points[name]) for name, series in SERIES.items()]
    text = f"{table(head, rows)}\n\n{circumstances(torch.device('cpu'))}"
    print(text)
    if folder is not None:
        for chart, names in CHARTS.items():
            write_bytes(folder / f"growth_{chart}.png", draw(names, points))
    if document is not None:
        replace_block(document, "sizes on cpu", text)


def draw(names: Sequence[str], points: dict[str, list[Point]]) -> bytes:
    """A PNG with a chart of time and one of memory, both axes logarithmic."""
    unit = SERIES[names[0]].unit
    panels = [
        panel(what, {SERIES[name].title: curve(points[name], what) for name in names})
        for what in ("seconds", "megabytes")
    ]
    return to_png(panels, f"Time and memory by {unit}, with exponents", across=f"log10 of {unit}")


def curve(points: Sequence[Point], what: str) -> Curve:
    """How ``what`` grows."""
    return [(each.size, getattr(each, what)) for each in points]


def _row(series: Series, points: Sequence[Point]) -> list[str]:
    def listed(what: str, digits: int) -> str:
        return ", ".join(f"{getattr(each, what):,.{digits}f}" for each in points)

    return [
        series.title, series.unit, ", ".join(f"{size:,g}" for size in series.sizes),
        listed("seconds", 3), f"{exponent(curve(points, 'seconds')):.2f}",
        listed("megabytes", 0), f"{exponent(curve(points, 'megabytes')):.2f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
