"""One picture of a restoration: blurred, restored, sharp and label map side by side.

python scripts/before_after.py datasets/Demo/test coffee_1 results/Demo-SegNAFNet/visualization/Demo \\
    docs/images/before_after.png --crop 150
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from basicsr.config.cli import run_command
from basicsr.masks.label_map import read_label_map
from basicsr.masks.pictures import colour_regions
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.typed_path import typed_path


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("split", type=typed_path, help="folder with input/, target/ and grouped_masks/")
    parser.add_argument("key", help="name of the photo without suffix")
    parser.add_argument("restored", type=typed_path, help="folder with <key>.png")
    parser.add_argument("out", type=typed_path, help="picture to write")
    parser.add_argument("--crop", type=int, help="side of a square in the middle, shown twice as large")
    arguments = parser.parse_args()
    run_command(lambda: write_picture(**vars(arguments)), debug=False)


def write_picture(split: Path, key: str, restored: Path, out: Path, crop: int | None) -> None:
    """Write the four panels next to each other."""
    panels = [
        read_rgb(split / "input" / f"{key}.png"),
        read_rgb(restored / f"{key}.png"),
        read_rgb(split / "target" / f"{key}.png"),
        colour_regions(read_label_map(split / "grouped_masks" / f"{key}.png")),
    ]
    if crop is not None:
        top, left = ((length - crop) // 2 for length in panels[0].shape[:2])
        panels = [panel[top : top + crop, left : left + crop].repeat(2, 0).repeat(2, 1) for panel in panels]
    gap = np.full((panels[0].shape[0], 6, 3), 255, np.uint8)
    write_png(
        out, np.concatenate([panels[0], *(part for panel in panels[1:] for part in (gap, panel))], axis=1)
    )


if __name__ == "__main__":
    main()
