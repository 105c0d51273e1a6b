"""Names as long as file systems hold them, through every command that prepares data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import skimage.data

from basicsr.masks import read_label_map
from basicsr.preparation.layouts.crop_patches import CropWindows, crop_folder
from basicsr.preparation.layouts.make_lmdb import make_lmdb
from basicsr.preparation.layouts.place_pairs import place_pairs
from basicsr.preparation.layouts.published import Pair
from basicsr.preparation.masks.convert import Conversion, convert_masks
from basicsr.preparation.masks.create import create_masks
from basicsr.preparation.masks.files import MaskJob
from basicsr.preparation.masks.show import show_masks
from basicsr.preparation.pairs.average_frames import FrameJob, FrameWindows, make_averaged_pairs
from basicsr.preparation.pairs.film_photos import FilmJob, film_photos
from basicsr.preparation.pairs.synthesize_blur import SynthesisJob, synthesize_blur
from basicsr.protocols.folders import require_free
from basicsr.segmenters.graph import Graph
from basicsr.storage import LmdbStorage
from basicsr.synthesis import PRESETS, ClipRules
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png

LONGEST = "x" * 251


@pytest.fixture
def photos(tmp_path) -> Path:
    write_png(tmp_path / "photos" / f"{LONGEST}.png", skimage.data.coffee()[:80, :90])
    return tmp_path / "photos"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_masks_their_pictures_their_conversions_and_databases(photos, tmp_path):
    job = MaskJob(photos, tmp_path / "masks", gray=tmp_path / "gray")
    assert create_masks(job, Graph, "graph").made == 1
    assert create_masks(job, Graph, "graph").kept == 1
    assert f"{LONGEST}.png" in names(tmp_path / "gray")
    show_masks(photos, tmp_path / "masks", tmp_path / "seen")
    assert f"{LONGEST}.png" in names(tmp_path / "seen")
    convert_masks(Conversion("labels", "npz"), tmp_path / "masks", tmp_path / "npz")
    convert_masks(Conversion("npz", "labels"), tmp_path / "npz", tmp_path / "back")
    assert read_label_map(tmp_path / "back" / f"{LONGEST}.png").shape == (80, 90)
    with pytest.raises(UserError, match=r"\.json: the name has 256 bytes"):
        convert_masks(Conversion("labels", "coco"), tmp_path / "masks", tmp_path / "coco")
    make_lmdb(photos, tmp_path / "photos.lmdb", workers=1)
    assert LmdbStorage(tmp_path / "photos.lmdb").keys() == [LONGEST]


def test_windows_of_frames(photos, tmp_path):
    make_averaged_pairs(FrameJob(photos, tmp_path / "out", FrameWindows(1, 1), workers=1))
    for kind in ("input", "target"):
        assert names(tmp_path / "out" / kind) == {f"{LONGEST}.png"}


def crop(photos: Path, output: Path) -> object:
    return crop_folder(photos, output, CropWindows(64, 64), workers=1)


def synthesize(photos: Path, output: Path) -> object:
    return synthesize_blur(SynthesisJob(photos, output, PRESETS["gopro"], copies=1, workers=1))


def film(photos: Path, output: Path) -> object:
    return film_photos(FilmJob(photos, output, ClipRules(extent=(2, 4)), copies=1, workers=1))


def place(photos: Path, output: Path) -> object:
    (photo,) = photos.iterdir()
    return place_pairs("GoPro", "blur", {"train": [Pair(f"clip-{photo.stem}", photo, photo)]}, output)


def pictures(photos: Path, output: Path) -> object:
    return require_free([output / f"{path.stem}_new.png" for path in photos.iterdir()], overwrite=False)


LENGTHENED = {crop: "_s001", synthesize: "_0", film: "_0", place: "clip-", pictures: "_new"}


@pytest.mark.parametrize("command", LENGTHENED)
def test_what_lengthens_names_tells_those_that_are_too_long_before_the_work(
    photos, tmp_path, command: Callable[[Path, Path], object]
):
    added = len(LENGTHENED[command])
    with pytest.raises(UserError) as told:
        command(photos, tmp_path / "out")
    assert f"the name has {255 + added} bytes, a file system holds 255; shorten the name" in str(told.value)
    assert "\n" not in str(told.value) and not any_png(tmp_path / "out")

    (photos / f"{LONGEST}.png").rename(photos / f"{LONGEST[added:]}.png")
    command(photos, tmp_path / "out")
    if command is not pictures:
        assert any(len(path.name) == 255 for path in any_png(tmp_path / "out"))


def any_png(folder: Path) -> list[Path]:
    return list(folder.rglob("*.png"))
