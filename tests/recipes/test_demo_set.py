"""The Demo set: photos that scikit-image carries, each blurred, with masks; made twice it is the same."""

from __future__ import annotations

import pytest

from basicsr.data.paired import PairedImageGroupMaskDataset, PairedImageMaskDataset
from basicsr.metrics import calculate_psnr
from basicsr.recipes import demo_set as demo
from basicsr.recipes.demo_set import make_demo_dataset


@pytest.fixture
def one_photo(monkeypatch) -> None:
    monkeypatch.setattr(demo, "PHOTOS", {"train": ("chelsea.png",), "test": ("rocket.jpg",)})
    monkeypatch.setattr(demo, "COPIES", {"train": 2, "test": 1})


@pytest.mark.usefixtures("one_photo")
def test_pairs_and_masks_are_read_by_the_data_sets(tmp_path):
    assert make_demo_dataset(tmp_path) == 3
    roots = {"dataroot_gt": f"{tmp_path}/train/target", "dataroot_lq": f"{tmp_path}/train/input"}
    labeled = PairedImageGroupMaskDataset(**roots, dataroot_mask=f"{tmp_path}/train/grouped_masks")
    masked = PairedImageMaskDataset(**roots, dataroot_mask=f"{tmp_path}/train/input_mask")
    assert labeled.keys == masked.keys == ["chelsea_0", "chelsea_1"]
    first, second = labeled[0], labeled[1]
    assert first["gt"].shape == second["gt"].shape == (3, 192, 192)
    assert first["labels"].min() == 1 and 2 < first["labels"].max() < 100
    assert not first["gt"].equal(second["gt"]), "crops of their own"
    for sample in (first, second):
        psnr = calculate_psnr(*(sample[name].permute(1, 2, 0).numpy() for name in ("lq", "gt")))
        assert 25 < psnr < 40, "a mild blur"
    gray, labels = masked[0]["mask"][0], first["labels"]
    values = [gray[labels == region].unique() for region in labels.unique()]
    assert all(len(value) == 1 for value in values), "the gray image shows the same regions"


@pytest.mark.usefixtures("one_photo")
def test_making_it_again_keeps_what_is_there(tmp_path):
    make_demo_dataset(tmp_path / "a")
    make_demo_dataset(tmp_path / "b")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    assert len(files) == 3 * 4
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)
    mine = tmp_path / "a" / files[0]
    mine.write_bytes(b"mine")
    make_demo_dataset(tmp_path / "a")
    assert mine.read_bytes() == b"mine"


def test_no_photo_is_both_trained_and_tested_on():
    assert all(demo.PHOTOS.values())
    assert not set(demo.PHOTOS["train"]) & set(demo.PHOTOS["test"])
