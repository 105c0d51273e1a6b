"""Deraining and denoising sets: pairs in the forms that are passed on become standard pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from basicsr.commands.prepare.noise import SETS as NOISE_SETS
from basicsr.commands.prepare.noise import main as prepare_noise
from basicsr.commands.prepare.rain import SETS as RAIN_SETS
from basicsr.commands.prepare.rain import main as prepare_rain
from basicsr.data import PairedImageDataset
from basicsr.preparation.layouts.check_dataset import check_dataset
from basicsr.preparation.layouts.place_pairs import EXPECTED, place_pairs
from basicsr.preparation.layouts.published_by_words import RELEASES, halved_pictures, splits_by_words
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def found(name, folder: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Key, clean and degraded file of each pair, relative to the folder."""
    return {
        split: [
            (pair.key, *(path.relative_to(folder).as_posix() for path in (pair.sharp, pair.blurred)))
            for pair in pairs
        ]
        for split, pairs in splits_by_words(name, folder).items()
    }


@pytest.mark.parametrize(
    ("clean", "rainy"),
    [
        ("{}/norain/norain-5.png", "{}/rain/X2/norain-5x2.png"),
        ("rain_data_{}_Light/norain/norain-5.png", "rain_data_{}_Light/rain/X2/norain-5X2.png"),
        ("RainT{}L/norain-5.png", "RainT{}L/rain-5.png"),
        ("{}/target/5.png", "{}/input/5.png"),
    ],
)
def test_rain200_in_its_forms(tmp_path, clean: str, rainy: str) -> None:
    for split in ("train", "test"):
        touch(tmp_path, clean.format(split), rainy.format(split))
    expected = {split: [("5", clean.format(split), rainy.format(split))] for split in ("test", "train")}
    assert found("Rain200L", tmp_path) == expected
    inside = tmp_path / Path(clean.format("test")).parts[0]
    assert list(splits_by_words("Rain200H", inside)) == ["test"], "one split alone, by the name of its folder"


def test_rain1400_has_many_rainy_images_of_a_clean_one(tmp_path) -> None:
    numbers = range(1, 15)
    for split, clean in (("training", 1), ("testing", 901)):
        touch(tmp_path, f"{split}/ground_truth/{clean}.jpg")
        touch(tmp_path, *(f"{split}/rainy_image/{clean}_{number}.jpg" for number in numbers))
    pairs = found("Rain1400", tmp_path)
    assert {split: len(of) for split, of in pairs.items()} == {"train": 14, "test": 14}
    assert pairs["test"][0] == ("901_1", "testing/ground_truth/901.jpg", "testing/rainy_image/901_1.jpg")
    touch(tmp_path, "testing/rainy_image/902_1.jpg")
    with pytest.raises(UserError, match="do not pair by name: clean images of .* lacks 1 .*: 902"):
        splits_by_words("Rain1400", tmp_path)


def test_the_same_number_in_two_folders_of_did(tmp_path) -> None:
    for density in ("Rain_Heavy", "Rain_Light"):
        touch(tmp_path, f"DID-MDN-training/{density}/gt/0.jpg", f"DID-MDN-training/{density}/rain/0.jpg")
    assert [key for key, *_ in found("DID", tmp_path)["train"]] == ["Rain_Heavy-0", "Rain_Light-0"]


def test_rain_on_cityscapes_lies_beside_its_photos(tmp_path) -> None:
    name = "aachen_000000_000019_leftImg8bit.png"
    city = "leftImg8bit/train/aachen"
    touch(
        tmp_path, f"{city}/{name}", f"leftImg8bit/train/depth/aachen/{name}", f"leftImg8bit/val/bonn/{name}"
    )
    touch(tmp_path, f"output/{city}/envmap/{name}")
    for rate in ("100mm", "200mm"):
        for kind in ("rainy_image", "rainy_mask"):
            touch(tmp_path, f"output/{city}/rain/{rate}/{kind}/{name}")
    rainy = f"output/{city}/rain/{{}}/rainy_image/{name}"
    for rate in ("100", "200"):
        pairs = found(f"CityscapesRain{rate}", tmp_path)
        assert pairs == {"train": [(Path(name).stem, f"{city}/{name}", rainy.format(f"{rate}mm"))]}


def test_sidd_as_patches_and_as_photos(tmp_path) -> None:
    patches, photos = tmp_path / "patches", tmp_path / "photos"
    for split in ("train", "val"):
        touch(patches, f"{split}/groundtruth/0001_1.png", f"{split}/input/0001_1.png")
    assert found("SIDD", patches)["val"] == [("0001_1", "val/groundtruth/0001_1.png", "val/input/0001_1.png")]
    scene = "Data/0001_001_S6_00100"
    touch(photos, f"{scene}/0001_GT_SRGB_010.PNG", f"{scene}/0001_NOISY_SRGB_010.PNG")
    pairs = found("SIDD", photos)
    assert [key for key, *_ in pairs["train"]] == ["Data-0001_001_S6_00100-0001_SRGB_010"]


def test_sensenoise_by_folders_or_by_names(tmp_path) -> None:
    touch(tmp_path, "train/gt/1.png", "train/noisy/1.png", "test/2_gt.png", "test/2_noisy.png")
    assert found("SenseNoise", tmp_path) == {
        "test": [("2", "test/2_gt.png", "test/2_noisy.png")],
        "train": [("1", "train/gt/1.png", "train/noisy/1.png")],
    }


def test_two_files_of_one_name_are_refused(tmp_path) -> None:
    touch(tmp_path, "train/norain/norain-1.png", "train/norain/a/norain-1.png", "train/rain/norain-1x2.png")
    with pytest.raises(UserError, match="norain-1.png and .*norain-1.png get the same name, '1'; keep one"):
        splits_by_words("Rain200L", tmp_path)


@pytest.mark.parametrize("name", RELEASES)
def test_a_folder_that_is_no_download_is_told_in_one_line(tmp_path, name) -> None:
    touch(tmp_path, "photos/a.png")
    for folder, what in ((tmp_path, "found no pairs"), (tmp_path / "absent", "no such folder")):
        with pytest.raises(UserError, match=f"{what}.*check the path") as told:
            splits_by_words(name, folder)
        assert str(folder) in str(told.value) and "\n" not in str(told.value)


def test_every_set_has_its_numbers_and_its_verb() -> None:
    assert [*RAIN_SETS, *NOISE_SETS] == list(RELEASES)
    assert set(RELEASES) <= set(EXPECTED)


@pytest.fixture
def download(tmp_path) -> Path:
    """Two clean photos of Rain1400 with two rainy ones each, in both splits."""
    rng = np.random.default_rng(0)
    for split, first in (("training", 1), ("testing", 901)):
        for clean in (first, first + 1):
            photo = rng.integers(0, 200, (12, 16, 3), np.uint8)
            write_png(tmp_path / "rainy" / split / "ground_truth" / f"{clean}.png", photo)
            for number in (1, 2):
                write_png(
                    tmp_path / "rainy" / split / "rainy_image" / f"{clean}_{number}.png", photo + 10 * number
                )
    return tmp_path / "rainy"


def test_placed_pairs_train_and_pass_the_check(download, tmp_path, capsys) -> None:
    target = tmp_path / "datasets" / "DDN"
    prepare_rain(["Rain1400", str(download), str(target)])
    output = capsys.readouterr().out
    assert "pairs of Rain1400: test 4, train 4" in output
    assert "train has 4 pairs, the official Rain1400 12600: 12596 too few" in output
    data = PairedImageDataset(dataroot_gt=f"{target}/train/target", dataroot_lq=f"{target}/train/input")
    assert data.keys == ["1_1", "1_2", "2_1", "2_2"]
    assert data[0]["gt"].equal(data[1]["gt"]) and not data[0]["lq"].equal(data[1]["lq"])
    report = check_dataset(target, 1)
    assert report.problems == {}
    assert "train: 4 images, the official data set has 12600" in report.lines
    assert "train/target: 4 of 16x12 pixels, 2 different" in report.lines


def test_photos_of_all_splits_together_are_counted(tmp_path, capsys) -> None:
    touch(tmp_path, "download/train/gt/1.png", "download/train/noisy/1.png")
    prepare_noise(["SenseNoise", str(tmp_path / "download"), str(tmp_path / "Mine")])
    assert "all splits has 1 pairs, the official SenseNoise 500: 499 too few" in capsys.readouterr().out
    exact = {"train": splits_by_words("SenseNoise", tmp_path / "download")["train"] * 500}
    assert place_pairs("SenseNoise", "SenseNoise", exact, tmp_path / "Mine").warnings == []


def test_pictures_of_both_images_are_those_without_words(tmp_path) -> None:
    touch(tmp_path, "DID-MDN-training/Rain_Heavy/train2018new/0.jpg", "DID-MDN-test/0.jpg")
    pictures = halved_pictures(tmp_path)
    assert {split: list(files) for split, files in pictures.items()} == {
        "test": ["0"],
        "train": ["Rain_Heavy-0"],
    }
    touch(tmp_path, "DID-MDN-test/norain/1.jpg")
    assert halved_pictures(tmp_path) == {}
    touch(tmp_path, "photos/0.jpg")
    with pytest.raises(UserError, match="photos: found no pictures below a train or test folder"):
        halved_pictures(tmp_path / "photos")
