"""Photos through a network that makes a clip of each: a folder of frames for a photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.reporting.page import read_page
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.restoration.folder import REPORT, RestoreJob, restore_all
from basicsr.restoration.items import as_clips, find_items
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png


class Brighter(RestorationNetwork):
    """A clip whose frames are ever 4 levels brighter."""

    gives = "clip"

    def __init__(self, count: int = 3) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x + 4 * index / 255 for index in range(self.count)], 1)


PHOTO = np.random.default_rng(0).integers(60, 120, (20, 30, 3)).astype(np.uint8)


@pytest.fixture
def photos(tmp_path) -> Path:
    for name in ("a", "b"):
        write_png(tmp_path / "photos" / f"{name}.png", PHOTO)
    return tmp_path / "photos"


def restore(photos: Path, output: Path, count: int = 3, overwrite: bool = False) -> None:
    items = find_items([photos], output, True, overwrite)
    job = RestoreJob(output, is_folder=True, overwrite=overwrite)
    restore_all(items, job, Restorer(Brighter(count), RestoreOptions(device="cpu")), None)


def test_a_photo_becomes_a_folder_of_frames(photos, tmp_path):
    restore(photos, tmp_path / "out")
    written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png"))
    assert written == [Path(stem) / f"000{number}.png" for stem in "ab" for number in (1, 2, 3)]
    for index in range(3):
        frame = read_rgb(tmp_path / "out" / "a" / f"000{index + 1}.png")
        assert np.array_equal(frame, PHOTO + 4 * index)
    (shown,) = read_page(tmp_path / "out" / REPORT)["sets"]
    assert "3 frames; shown is the one in the middle" in shown["images"][0]["results"][0]["notes"]


def test_clips_that_are_there_are_kept_or_made_anew_and_nothing_is_deleted(photos, tmp_path, caplog):
    first = tmp_path / "out" / "a" / "0001.png"
    restore(photos, tmp_path / "out")
    write_png(first, PHOTO + 100)
    restore(photos, tmp_path / "out")
    assert np.array_equal(read_rgb(first), PHOTO + 100)
    with caplog.at_level("INFO", "basicsr"):
        restore(photos, tmp_path / "out", count=2, overwrite=True)
    assert np.array_equal(read_rgb(first), PHOTO)
    assert sorted(path.name for path in first.parent.iterdir()) == ["0001.png", "0002.png", "0003.png"]
    assert "0003.png and what follows it were there before and are not of this clip" in caplog.text


def test_videos_are_for_networks_of_images(photos, tmp_path):
    items = find_items([photos / "a.png"], tmp_path / "out", True)
    film = [item._replace(source=photos / "a.mp4") for item in items]
    job = RestoreJob(tmp_path / "out", is_folder=True)
    with pytest.raises(UserError, match=r"a\.mp4: Brighter makes several frames"):
        restore_all(film, job, Restorer(Brighter(), RestoreOptions(device="cpu")), None)


def test_two_photos_do_not_share_a_folder(photos, tmp_path):
    (photos / "a.bmp").write_bytes(b"")
    items = find_items([photos], tmp_path / "out", True)
    with pytest.raises(UserError, match="both would become"):
        as_clips(items)
