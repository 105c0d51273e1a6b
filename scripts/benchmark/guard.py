"""How often the guard flags good results, which it should not, and results broken on purpose.

  python scripts/benchmark/guard.py datasets/Demo/test \\
      --weights experiments/Demo-SegNAFNet/models/net_g_latest.pth

The folder has the pairs input/ and target/. A target stands for a perfect restoration.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from report import replace_block, table
from torch import Tensor

from basicsr.config.cli import run_command
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.restoration.guard import find_collapse
from basicsr.storage import DiskStorage
from basicsr.utils.image import READABLE, decode_rgb, to_chw, to_tensor, to_uint8
from basicsr.utils.typed_path import typed_path

SIDE = 160  # of the part of a photo that is damaged, in pixels
Break = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def _mosaic(x: Tensor, lq: Tensor, random: torch.Generator) -> Tensor:
    blocks = torch.rand(1, 3, SIDE // 8, SIDE // 8, generator=random)
    return blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)[..., : x.shape[-2], : x.shape[-1]]


# What networks have been seen to do, in a part of 160 x 160 pixels of a perfect result.
BREAKS: dict[str, Break] = {
    "one value is NaN": lambda x, lq, random: torch.where(torch.arange(x.shape[-1]) == 0, torch.nan, x),
    "black": lambda x, lq, random: torch.zeros_like(x),
    "blown out (times 3)": lambda x, lq, random: x * 3,
    "inverted": lambda x, lq, random: 1 - x,
    "a color cast of 0.25": lambda x, lq, random: x + torch.tensor([0.25, 0.0, -0.25]).reshape(1, 3, 1, 1),
    "a color cast of 0.1": lambda x, lq, random: x + torch.tensor([0.1, 0.0, -0.1]).reshape(1, 3, 1, 1),
    "mosaic of 8 x 8 blocks": _mosaic,
    "white noise of 0.3": lambda x, lq, random: x + 0.3 * torch.randn(x.shape, generator=random),
    "white noise of 0.1": lambda x, lq, random: x + 0.1 * torch.randn(x.shape, generator=random),
    "contrast amplified 4 times": lambda x, lq, random: 4 * (x - 0.5) + 0.5,
    "detail amplified 4 times": lambda x, lq, random: lq + 4 * (x - lq),
}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=typed_path, nargs="+", help="folders with input/ and target/")
    parser.add_argument("--weights", type=typed_path, help="also judge what this network makes of the inputs")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    run_command(lambda: run(typed.pairs, typed.weights, typed.write), debug=False)


def run(folders: list[Path], weights: Path | None, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    pairs = [pair for folder in folders for pair in read_pairs(folder)]
    rows = [_row("unchanged input", [speaks_up(lq, lq) for lq, _ in pairs])]
    rows.append(_row("perfect result", [speaks_up(lq, gt) for lq, gt in pairs]))
    if weights is not None:
        restorer = Restorer.from_checkpoint(weights, RestoreOptions(guard="keep"))
        name = type(restorer.net).__name__
        rows.append(_row(f"of {name}", [restores_badly(restorer, lq) for lq, _ in pairs]))
        for factor in (1.1, 1.5):
            worse = copy.deepcopy(restorer)
            for parameter in worse.net.parameters():
                parameter.mul_(factor)
            fired = [restores_badly(worse, lq) for lq, _ in pairs]
            rows.append(_row(f"of {name} with all weights times {factor}", fired))
    for name, change in BREAKS.items():
        random = torch.Generator().manual_seed(0)
        fired = [speaks_up(lq, damaged(lq, gt, change, random)) for lq, gt in pairs]
        rows.append(_row(f"broken: {name}", fired))
    text = table(("result", "images", "flagged by the guard"), rows)
    print(text)
    if document is not None:
        replace_block(document, "guard", text)


def read_pairs(folder: Path) -> list[tuple[Tensor, Tensor]]:
    """Input and target of each pair as float32 (1, 3, H, W)."""
    storages = [DiskStorage(folder / name, READABLE) for name in ("input", "target")]
    return [
        (_read(storages[0], key), _read(storages[1], key))
        for key in storages[0].keys()  # noqa: SIM118
    ]


def damaged(lq: Tensor, gt: Tensor, change: Break, random: torch.Generator) -> Tensor:
    """The target with a part changed; where, is random."""
    top, left = (
        int(torch.randint(max(1, size - SIDE + 1), (1,), generator=random)) for size in gt.shape[-2:]
    )
    part = np.s_[..., top : top + SIDE, left : left + SIDE]
    result = gt.clone()
    result[part] = change(gt[part], lq[part], random)
    return result


def speaks_up(lq: Tensor, restored: Tensor) -> bool:
    """Whether the guard finds a sign of collapse."""
    return any(bool(sign.any()) for sign in find_collapse(lq, restored).values())


def restores_badly(restorer: Restorer, lq: Tensor) -> bool:
    """Whether the guard flags what a network makes of an image."""
    return restorer.run(to_uint8(lq[0])).findings.bad > 0


def _read(storage: DiskStorage, key: str) -> Tensor:
    return to_tensor(to_chw(decode_rgb(storage.read(key), storage.describe(key))))[None]


def _row(name: str, fired: list[bool]) -> list[str]:
    return [name, str(len(fired)), f"{sum(fired) / len(fired):.1%}"]


if __name__ == "__main__":
    main()
