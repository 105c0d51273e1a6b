"""Official downloads into the standard layout: what is found, how it is named, and what is never touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from basicsr.data.paired import PairedImageDataset
from basicsr.preparation.layouts.place_pairs import EXPECTED, place_pairs
from basicsr.preparation.layouts.published import (
    Pair,
    gopro_splits,
    realblur_splits,
    reds_splits,
    reloblur_splits,
)
from basicsr.utils.checksum import without_checksum
from basicsr.utils.errors import UserError


def touch(path: Path) -> Path:
    """A file whose content says where it came from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(path))
    return path


def keys(splits: dict[str, list[Pair]]) -> dict[str, list[str]]:
    return {split: [pair.key for pair in pairs] for split, pairs in splits.items()}


@pytest.fixture
def gopro(tmp_path) -> Path:
    """Two clips that share a frame number, and what archives made on a Mac leave behind."""
    folder = tmp_path / "download" / "GOPRO_Large"
    for clip in ("train/GOPR0372_07_00", "train/GOPR0372_07_01", "test/GOPR0384_11_00"):
        for kind in ("blur", "blur_gamma", "sharp"):
            for frame in ("000047", "000048"):
                touch(folder / clip / kind / f"{frame}.png")
            touch(folder / clip / kind / "._000047.png")
    return tmp_path / "download"


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "datasets" / "Set"


@pytest.mark.parametrize("blur", ["blur", "blur_gamma"])
@pytest.mark.parametrize("inside", [".", "GOPRO_Large"])
def test_gopro_names_are_unique_across_clips(gopro, blur, inside):
    splits = gopro_splits(gopro / inside, blur)
    assert keys(splits) == {
        "train": [f"GOPR0372_07_0{clip}-0000{frame}" for clip in (0, 1) for frame in (47, 48)],
        "test": ["GOPR0384_11_00-000047", "GOPR0384_11_00-000048"],
    }
    first = splits["train"][0]
    clip = gopro / "GOPRO_Large" / "train" / "GOPR0372_07_00"
    assert first.sharp.samefile(clip / "sharp" / "000047.png")
    assert first.blurred.samefile(clip / blur / "000047.png")


def test_gopro_without_the_blur_that_is_asked_or_with_frames_that_do_not_pair(gopro):
    clip = gopro / "GOPRO_Large" / "train" / "GOPR0372_07_01"
    (clip / "sharp" / "000048.png").unlink()
    with pytest.raises(UserError, match="GOPR0372_07_01-000048"):
        gopro_splits(gopro)
    (clip / "blur").rename(clip / "blurred")
    with pytest.raises(
        UserError, match="GOPR0372_07_01: has blur_gamma, blurred, sharp but no folder 'blur'"
    ):
        gopro_splits(gopro)


@pytest.mark.parametrize("nested", ["{0}_{1}", "{0}/{0}_{1}", "{0}_{1}/{0}/{0}_{1}"])
def test_reds_is_found_however_its_archives_were_unpacked(tmp_path, nested):
    for split in ("train", "val"):
        for kind in ("blur", "sharp"):
            for clip in ("000", "001"):
                touch(tmp_path / nested.format(split, kind) / clip / "00000000.png")
    splits = reds_splits(tmp_path)
    assert keys(splits) == {split: ["000-00000000", "001-00000000"] for split in ("train", "val")}
    pair = splits["val"][1]
    assert "val_sharp/001/" in pair.sharp.as_posix() and "val_blur/001/" in pair.blurred.as_posix()


def test_reds_with_one_archive_of_a_split(tmp_path):
    touch(tmp_path / "val_blur" / "000" / "00000000.png")
    with pytest.raises(UserError, match="no frames val_sharp"):
        reds_splits(tmp_path)


def realblur(folder: Path, camera: str = "J") -> Path:
    images = {"J": "RealBlur-J_ECC_IMCORR_centroid_itensity_ref", "R": "RealBlur-R_BM3D_ECC_IMCORR"}[camera]
    for split, scenes in {"train": (1, 2), "test": (50,)}.items():
        lines = []
        for scene in scenes:
            pair = [f"{images}/scene{scene:03d}/{kind}/{kind}_10.png" for kind in ("gt", "blur")]
            for path in pair:
                touch(folder / path)
            lines.append(" ".join(pair) + " \n")
        (folder / f"RealBlur_{camera}_{split}_list.txt").write_text("".join(lines))
    return folder


def test_realblur_has_the_published_names(tmp_path):
    for camera in ("J", "R"):
        realblur(tmp_path / "RealBlur", camera)
    splits = realblur_splits(tmp_path)
    names = [f"RealBlur-J-scene{scene}-gt_10" for scene in ("001", "002", "050")]
    assert keys(splits) == {"train": names[:2], "test": names[2:]}
    (pair,) = splits["test"]
    assert pair.sharp.name == "gt_10.png" and pair.blurred.name == "blur_10.png"
    assert keys(realblur_splits(tmp_path, "R"))["test"] == ["RealBlur-R-scene050-gt_10"]


def test_realblur_lists_may_begin_with_a_byte_order_mark(tmp_path):
    folder = realblur(tmp_path)
    expected = realblur_splits(folder)
    for split in ("train", "test"):
        file = folder / f"RealBlur_J_{split}_list.txt"
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert realblur_splits(folder) == expected
    file.write_text("a", encoding="utf-16")
    with pytest.raises(UserError, match=r"RealBlur_J_test_list\.txt: the list is not UTF-8 text; save it"):
        realblur_splits(folder)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("a/scene1/gt/g.png", "expected lines"),
        ("g.png b.png", "expected lines"),
        ("a/scene1/gt/g.png a/scene1/blur/b.png", "2 of the files it lists are missing"),
        ("{0}\n{0}", "twice"),
    ],
)
def test_realblur_lists_that_do_not_fit(tmp_path, line, error):
    folder = realblur(tmp_path)
    file = folder / "RealBlur_J_test_list.txt"
    file.write_text(line.format(file.read_text().strip()))
    with pytest.raises(UserError, match=error):
        realblur_splits(folder)


@pytest.mark.parametrize(
    ("sharp", "blurred", "key"),
    [
        ("s01/00/00_sharp.png", "s01/00/00_blur.png", "s01-00-00"),
        ("sharp/a.png", "blur/a.png", "a"),
        ("scene/gt/a_1.jpg", "scene/input/a_1.jpg", "scene-a_1"),
        ("target/s01/a.png", "lq/s01/a.png", "s01-a"),
    ],
)
def test_reloblur_tells_sharp_from_blurred(tmp_path, sharp, blurred, key):
    for split in ("train", "test"):
        touch(tmp_path / "dataset" / split / sharp)
        touch(tmp_path / "dataset" / split / blurred)
        touch(tmp_path / "masks" / split / "s01" / "00" / "00.png")
    splits = reloblur_splits(tmp_path)
    assert keys(splits) == {"train": [key], "test": [key]}
    (pair,) = splits["test"]
    assert pair.sharp == tmp_path / "dataset" / "test" / sharp
    assert pair.blurred == tmp_path / "dataset" / "test" / blurred


def test_reloblur_pairs_that_miss_a_half_or_share_a_name(tmp_path):
    touch(tmp_path / "train" / "s01" / "00_sharp.png")
    with pytest.raises(UserError, match="s01-00"):
        reloblur_splits(tmp_path)
    touch(tmp_path / "train" / "s01-00_sharp.png")
    with pytest.raises(UserError, match="get the same name, 's01-00'"):
        reloblur_splits(tmp_path)


@pytest.mark.parametrize("find", [gopro_splits, reds_splits, realblur_splits, reloblur_splits])
def test_a_folder_that_is_no_download_is_told_in_one_line(tmp_path, find):
    for folder, what in ((tmp_path, "found no"), (tmp_path / "absent", "no such folder")):
        with pytest.raises(UserError, match=f"{what}.*check the path") as told:
            find(folder)
        assert str(folder) in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_links_and_copies_have_the_content_of_the_download(gopro, target, link):
    splits = gopro_splits(gopro)
    placed = place_pairs("GoPro", "blur", splits, target, link)
    assert placed.made == 12 and placed.pairs == {"train": 4, "test": 2}
    data = PairedImageDataset(dataroot_gt=f"{target}/train/target", dataroot_lq=f"{target}/train/input")
    assert data.keys == [pair.key for pair in splits["train"]]
    for split, pairs in splits.items():
        for pair in pairs:
            for folder, source in (("target", pair.sharp), ("input", pair.blurred)):
                file = target / split / folder / f"{pair.key}.png"
                assert file.read_bytes() == source.read_bytes()
                assert file.is_symlink() == (link == "symlink")
                assert file.samefile(source) == (link != "copy")
    again = place_pairs("GoPro", "blur", splits, target, link)
    assert (again.made, again.kept) == (0, 12)
    (target / "test" / "input" / f"{splits['test'][0].key}.png").unlink()
    assert place_pairs("GoPro", "blur", splits, target, link).made == 1


def test_links_work_from_a_relative_path(gopro, target, monkeypatch):
    monkeypatch.chdir(gopro.parent)
    place_pairs("GoPro", "blur", gopro_splits(Path("download")), Path("datasets/Set"))
    monkeypatch.chdir("/")
    assert all(path.exists() for path in target.rglob("*.png")) and any(target.rglob("*.png"))


def test_a_file_that_differs_is_kept_and_told(gopro, target):
    splits = gopro_splits(gopro)
    mine = target / "train" / "input" / f"{splits['train'][0].key}.png"
    touch(mine)
    with pytest.raises(UserError, match=f"1 existing files.*differ.*{mine.name}"):
        place_pairs("GoPro", "blur", splits, target, "copy")
    assert mine.read_text() == str(mine)
    assert len(list(target.rglob("*.png"))) == 12, "the rest is done"


def test_the_other_blur_is_told_and_overwrites_nothing(gopro, target):
    place_pairs("GoPro", "blur", {"test": gopro_splits(gopro)["test"]}, target)
    record = target / "layout.json"
    output = json.loads(record.read_text())
    assert without_checksum(output) == {"dataset": "GoPro", "kinds": ["blur"]} != output
    other = gopro_splits(gopro, "blur_gamma")
    with pytest.raises(UserError, match=r"2 existing files \(made from blur\) differ from blur_gamma"):
        place_pairs("GoPro", "blur_gamma", {"test": other["test"]}, target)
    assert json.loads((target / "layout.json").read_text())["kinds"] == ["blur"], "nothing was mixed yet"
    placed = place_pairs("GoPro", "blur_gamma", {"train": other["train"]}, target)
    assert any("made from blur and blur_gamma" in warning for warning in placed.warnings)
    again = place_pairs("GoPro", "blur", {"test": gopro_splits(gopro)["test"]}, target)
    assert any("made from blur and blur_gamma" in warning for warning in again.warnings)
    assert "pairs of blur: test 2" in again.text() and "warning: " in again.text()


def test_counts_are_those_of_the_official_sets():
    assert EXPECTED == {
        "GoPro": {"train": 2103, "test": 1111},
        "REDS": {"train": 24000, "val": 3000},
        "RealBlur": {"train": 3758, "test": 980},
        "ReLoBlur": {"train": 2010, "test": 395},
        "Rain200L": {"train": 1800, "test": 200},
        "Rain200H": {"train": 1800, "test": 200},
        "Rain1400": {"train": 900 * 14, "test": 100 * 14},
        "DID": {"train": 3 * 4000, "test": 1200},
        "CityscapesRain100": {"train": 2975},
        "CityscapesRain200": {"train": 2975},
        "SIDD": {"val": 40 * 32},
        "SenseNoise": {"all splits": 500},
    }


@pytest.mark.parametrize(
    ("count", "warning"), [(3, None), (2, "1 too few"), (5, "2 too many"), (0, "3 too few")]
)
def test_other_counts_are_a_warning_that_names_the_difference(tmp_path, target, monkeypatch, count, warning):
    monkeypatch.setitem(EXPECTED, "GoPro", {"train": 4, "test": 3})
    source = touch(tmp_path / "x.png")
    splits = {
        split: [Pair(str(number), source, source) for number in range(pairs)]
        for split, pairs in {"train": 4, "test": count}.items()
    }
    warnings = place_pairs("GoPro", "blur", splits, target).warnings
    expected = [] if warning is None else [f"test has {count} pairs, the official GoPro 3: {warning}"]
    assert warnings == expected
