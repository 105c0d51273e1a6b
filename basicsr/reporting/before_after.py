"""One picture of a restoration, for documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from basicsr.masks.label_map import read_label_map
from basicsr.masks.pictures import color_regions
from basicsr.utils.image import read_rgb, write_png


def write_picture(split: Path, key: str, restored: Path, out: Path, crop: int | None) -> None:
    """Write blurred, restored, sharp photo and label map next to each other.

    Args:
        split: folder with ``input/``, ``target/`` and ``grouped_masks/``.
        key: name of the photo without suffix.
        restored: folder with ``<key>.png``.
        out: PNG to write.
        crop: side of a square in the middle, shown twice as large; None shows all.
    """
    panels = [
        read_rgb(split / "input" / f"{key}.png"),
        read_rgb(restored / f"{key}.png"),
        read_rgb(split / "target" / f"{key}.png"),
        color_regions(read_label_map(split / "grouped_masks" / f"{key}.png")),
    ]
    if crop is not None:
        top, left = ((length - crop) // 2 for length in panels[0].shape[:2])
        panels = [panel[top : top + crop, left : left + crop].repeat(2, 0).repeat(2, 1) for panel in panels]
    gap = np.full((panels[0].shape[0], 6, 3), 255, np.uint8)
    write_png(
        out, np.concatenate([panels[0], *(part for panel in panels[1:] for part in (gap, panel))], axis=1)
    )
