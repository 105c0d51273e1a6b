"""What several test files share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from basicsr.masks.label_map import write_label_map
from basicsr.utils.image import write_png

ROOT = Path(__file__).resolve().parents[1]

# A busy machine is no mistake of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Development material that lies beside the project and is not part of it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder shared/ with parity numbers and real images is not beside this checkout")
    return folder


@pytest.fixture
def paired_set(tmp_path) -> Path:
    """Six pairs of 40x48 with label maps and grey masks, in the layout of the published sets.

    Every field shows where a pixel came from: the red channel of an image is its row, the green one its
    column, blue its number; labels and masks mark the left half.
    """
    folder = tmp_path / "set"
    rows, columns = np.mgrid[0:40, 0:48]
    for number in range(6):
        name = f"photo_{number}.png"
        target = np.stack([rows * 4, columns * 4, np.full_like(rows, number * 10)], -1).astype(np.uint8)
        labels = np.where(columns < 24, 1 + rows // 20, 3).astype(np.int32)
        labels[:2] = 0
        write_png(folder / "target" / name, target)
        write_png(folder / "input" / name, target + 3)
        write_png(folder / "input_mask" / name, (labels * 50).astype(np.uint8))
        write_label_map(folder / "grouped_masks" / name, labels)
    return folder
