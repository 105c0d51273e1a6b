"""Time the synthesis of a blurred pair against a loop over masks and channels with
``scipy.signal.fftconvolve``: ``python scripts/benchmark/synthesis.py``.

Both start from an 8-bit photo of 1280x720, five objects that cover five sixths of it and six camera-shake
kernels of 65x65 of the preset ``sbdd``, and end with the blurred and the sharp photo in 8 bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inputs import photo, region_map
from numpy.typing import NDArray
from report import circumstances, replace_block, table
from timing import Goal, Row, compare

from basicsr.config.cli import run_command
from basicsr.synthesis import PRESETS, Draw, draw_pair, make_pair
from basicsr.utils.errors import UserError
from basicsr.utils.image import to_chw, to_tensor
from basicsr.utils.typed_path import typed_path

HEAD = (
    "1280x720, 6 kernels of 65x65",
    "ours",
    "loop over fftconvolve",
    "ratio",
    "goal",
    "met",
    "checked before",
)
SIZE = (720, 1280)
GAMMA = 2.2
ROWS: dict[str, type[np.floating[Any]]] = {
    "the loop in float32": np.float32,
    "the loop in float64, the type of kernels in .mat files": np.float64,
}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each row; default: 7")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of ours")
    parser.add_argument(
        "--write", type=typed_path, metavar="FILE", help="also write the table into this document"
    )
    typed = parser.parse_args()
    if typed.rounds < 1:
        parser.error(f"--rounds takes 1 or more, not {typed.rounds}")
    run_command(lambda: run(typed.rounds, typed.device, typed.write), debug=False)


def run(rounds: int, device_name: str, document: Path | None) -> None:
    """Measure, print, and write into ``document``."""
    if device_name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; measure with --device cpu")
    device = torch.device(device_name)
    rows = [measure(name, dtype, device, rounds) for name, dtype in ROWS.items()]
    text = f"{table(HEAD, [_cells(row) for row in rows])}\n\n{circumstances(device)}\n* Rounds: {rounds}"
    print(text)
    if document is not None:
        replace_block(document, f"synthesis on {device.type}", text)


def measure(name: str, dtype: type[np.floating[Any]], device: torch.device, rounds: int) -> Row:
    """Check that both give the same pair, then time both."""
    sharp = photo("motorcycle_left.png", *SIZE)
    objects = region_map(*SIZE, 5) == np.arange(1, 6)[:, None, None]
    draw, kernels = draw_pair(PRESETS["sbdd"], [1, 2, 3, 4, 5], np.random.default_rng(0))

    def ours() -> tuple[NDArray[np.uint8], ...]:
        inputs = to_tensor(to_chw(sharp)), torch.from_numpy(objects), torch.from_numpy(kernels).float()
        pair = make_pair(*(tensor.to(device) for tensor in inputs), draw)
        return tuple(image.permute(1, 2, 0).cpu().numpy() for image in pair)

    def reference() -> tuple[NDArray[np.uint8], ...]:
        return direct_pair(sharp, objects, kernels.astype(dtype), draw)

    worst = max(
        int(np.abs(found.astype(int) - expected).max())
        for found, expected in zip(ours(), reference(), strict=True)
    )
    if worst > 1:
        raise UserError(f"{name}: the pairs differ by {worst} of 255")
    agreement = f"max difference {worst} of 255 (≤ 1)"
    return compare(name, Goal("faster", 6), agreement, ours, reference, rounds)


def direct_pair(
    sharp: NDArray[np.uint8], objects: NDArray[np.bool_], kernels: NDArray[Any], draw: Draw
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The published formulas of `basicsr.synthesis.composition`, word for word.

    Args:
        sharp: (H, W, 3) RGB.
        objects: (M, H, W).
        kernels: (M + 1, K, K); their type is that of the convolutions.

    Returns:
        Blurred and sharp photo, (H - K + 1, W - K + 1, 3).
    """
    from scipy.signal import fftconvolve

    light = (sharp.astype(np.float32) / 255) ** GAMMA * np.float32(draw.illumination)
    masks = np.concatenate([~objects.any(0, keepdims=True), objects]).astype(np.float32)
    soft = np.stack([fftconvolve(mask, kernel, "valid") for mask, kernel in zip(masks, kernels, strict=True)])
    soft /= soft.sum(0) + 1e-6
    blurred = np.zeros((*soft.shape[1:], 3), np.float32)
    for share, kernel in zip(soft, kernels, strict=True):
        for channel in range(3):
            blurred[..., channel] += share * fftconvolve(light[..., channel], kernel, "valid")
    radius = kernels.shape[-1] // 2
    return _encode(blurred), _encode(light[radius:-radius, radius:-radius])


def _encode(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(np.clip(light, 0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)


def _cells(row: Row) -> list[str]:
    times = [f"{time / 1000:.3g} s" for time in (row.ours, row.reference)]
    return [row.name, *times, f"{row.ratio:.3g}×", str(row.goal), "yes" if row.met else "no", row.agreement]


if __name__ == "__main__":
    main()
