"""Pictures of masks: where they are tinted, what they refuse, and that they are always the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from basicsr.masks import published_gray, to_stack, write_label_map
from basicsr.masks.pictures import color_regions, overlay, region_colors
from basicsr.preparation.masks.show import contact_sheet, show_masks
from basicsr.segmenters import graph_regions
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three small photos and their label maps, one in a subfolder."""
    for name, key in {"chelsea": "cats/chelsea", "coffee": "coffee", "astronaut": "astronaut"}.items():
        photo = read_rgb(Path(skimage.data.__file__).parent / f"{name}.png")
        small = cv2.resize(photo, (120, 80), interpolation=cv2.INTER_AREA)
        write_png(tmp_path / "photos" / f"{key}.png", small)
        write_label_map(tmp_path / "maps" / f"{key}.png", graph_regions(small))
    return tmp_path / "photos", tmp_path / "maps"


def test_overlays_and_a_sheet_are_written_and_always_the_same(folders, tmp_path: Path):
    photos, maps = folders
    assert show_masks(photos, maps, tmp_path / "one") == 3
    assert show_masks(photos, maps, tmp_path / "two") == 3
    names = {"cats/chelsea.png", "coffee.png", "astronaut.png", "contact_sheet.png"}
    files = {path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*.png")}
    assert files == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    pictures = [read_rgb(tmp_path / "one" / f"{key}.png") for key in ("astronaut", "cats/chelsea", "coffee")]
    sheet = read_rgb(tmp_path / "one" / "contact_sheet.png")
    assert np.array_equal(sheet[8:88, 8:128], pictures[0])  # small pictures are shown as they are, by key
    assert np.array_equal(sheet[8:88, 136:256], pictures[1])
    below = sheet.shape[0] - 8 - 98
    assert np.array_equal(sheet[below : below + 80, 8:128], pictures[2])


def test_regions_are_tinted_inside_a_white_border_and_uncovered_pixels_stay(folders):
    photo = read_rgb(folders[0] / "coffee.png")
    labels = np.zeros(photo.shape[:2], np.int32)
    labels[20:60, 20:60] = 1
    labels[20:60, 60:100] = 2
    picture = overlay(photo, labels)
    assert np.array_equal(picture[:15], photo[:15])
    colors = region_colors(2)
    for place, region in (((40, 40), 1), ((40, 80), 2)):
        expected = (photo[place].astype(int) + colors[region]) / 2
        assert np.abs(picture[place] - expected).max() <= 1
    assert (picture[19:60, 59] == 255).all()  # right of region 1 is region 2
    assert (picture[59, 20:100] == 255).all()  # and below it nothing
    assert not (picture[21:58, 21:58] == 255).all(-1).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_the_smallest_photos_have_an_overlay(size):
    picture = overlay(np.full((*size, 3), 9, np.uint8), np.ones(size, np.int32))
    assert picture.shape == (*size, 3)


def test_colors_are_one_a_region_and_differ_between_neighboring_ids():
    colors = region_colors(200).astype(int)
    assert (colors[0] == 0).all()
    assert len({tuple(color) for color in colors.tolist()}) > 190
    distances = np.abs(np.diff(colors[1:], axis=0)).sum(1)
    assert distances.min() > 60
    labels = np.array([[0, 1], [7, 200]], np.int32)
    assert np.array_equal(color_regions(labels), colors[labels])


def test_the_sheet_holds_pictures_of_any_size_row_by_row_on_white():
    tiles = [np.full((height, 10 * height, 3), height, np.uint8) for height in (3, 5, 4, 1, 2)]
    sheet = contact_sheet(tiles)
    assert sheet.shape == (8 + 2 * (5 + 8), 8 + 3 * (50 + 8), 3)
    assert (sheet[8:11, 8:38] == 3).all()
    assert (sheet[8:13, 66:116] == 5).all()
    assert (sheet[21:22, 8:18] == 1).all()
    assert (sheet == 255).sum() + 3 * sum(tile.shape[0] * tile.shape[1] for tile in tiles) == sheet.size


def test_the_sheet_of_many_takes_some_evenly(folders, tmp_path: Path):
    photos, maps = folders
    show_masks(photos, maps, tmp_path / "out", sheet_size=2)
    sheet = read_rgb(tmp_path / "out" / "contact_sheet.png")
    assert np.array_equal(sheet[8:88, 136:256], read_rgb(tmp_path / "out" / "coffee.png"))


def test_published_masks_can_be_shown_too(folders, tmp_path: Path):
    photos, maps = folders
    labels = graph_regions(read_rgb(photos / "coffee.png"))
    write_png(tmp_path / "gray" / "coffee.png", published_gray(to_stack(labels)))
    (tmp_path / "npz").mkdir()
    np.savez_compressed(tmp_path / "npz" / "coffee.npz", masks=to_stack(labels)[:, None])
    show_masks(photos, maps, tmp_path / "a")
    for kind in ("gray", "npz"):
        assert show_masks(photos, tmp_path / kind, tmp_path / f"from_{kind}") == 1
        picture = tmp_path / f"from_{kind}" / "coffee.png"
        assert picture.read_bytes() == (tmp_path / "a" / "coffee.png").read_bytes()


def test_what_does_not_belong_together_is_named(folders, tmp_path: Path, caplog):
    photos, maps = folders
    write_label_map(maps / "coffee.png", np.ones((80, 119), np.int32))
    (maps / "astronaut.png").unlink()
    with pytest.raises(UserError, match=r"coffee\.png: 119 x 80 pixels, .*coffee\.png has 120 x 80; "):
        show_masks(photos, maps, tmp_path / "out")
    assert (tmp_path / "out" / "cats" / "chelsea.png").is_file()
    assert (tmp_path / "out" / "contact_sheet.png").is_file()
    assert "1 photos have no label map" in caplog.text
    with pytest.raises(UserError, match="no label map has the name of a photo"):
        show_masks(photos / "cats", maps, tmp_path / "none")
    with pytest.raises(UserError, match="lies in the input folder"):
        show_masks(photos, maps, maps / "pictures")


def test_pictures_that_are_there_are_kept_unless_overwrite(folders, tmp_path: Path):
    photos, maps = folders
    write_png(tmp_path / "out" / "coffee.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r"coffee\.png: exists already"):
        show_masks(photos, maps, tmp_path / "out")
    assert read_rgb(tmp_path / "out" / "coffee.png").shape == (2, 2, 3)
    assert show_masks(photos, maps, tmp_path / "out", overwrite=True) == 3
    write_png(photos / "contact_sheet.png", read_rgb(photos / "coffee.png"))
    write_label_map(maps / "contact_sheet.png", np.ones((80, 120), np.int32))
    with pytest.raises(UserError, match="name of the contact sheet"):
        show_masks(photos, maps, tmp_path / "new")
