"""The data of the Small option files: what is in each split, and that a second run changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from basicsr.data.paired import PairedImageGroupMaskDataset, PairedImageMaskDataset
from basicsr.masks import write_label_map
from basicsr.recipes.small_set import BLURS, FIELDS, SmallSet, link_pairs, make_small_set
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png

pytestmark = pytest.mark.xdist_group("small_set")  # each worker would make the splits again

SIDE = 272  # a photo loses 64 pixels to the blur; two windows of 192 fit into what is left, each way


def photo(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (-(-height // 16), -(-width // 16), 3)).astype(np.uint8)
    return blocks.repeat(16, 0).repeat(16, 1)[:height, :width]


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> SmallSet:
    """Two photos with outlines, one to validate and one to test on; three frames and a larger one to train
    on, one each to validate and to test on.
    """
    folder = tmp_path_factory.mktemp("small")
    outlines = np.ones((SIDE, SIDE), np.int32)
    outlines[64:192, 96:224] = 2
    for key in ("a", "b"):
        write_png(folder / f"photos/{key}.png", photo(ord(key)))
        write_label_map(folder / f"labels/{key}.png", outlines)
    write_png(folder / "val/v.png", photo(4))
    write_png(folder / "held/c.png", photo(3))
    real = ("clip/1", "clip/2", "other/1")
    for split, keys in (("real", real), ("judged", ("5",)), ("test", ("1",))):
        for field in ("input", "target"):
            for key in keys:
                write_png(folder / split / field / f"{key}.png", photo(7, 180, 320))
    for field in ("input", "target"):
        write_png(folder / "large" / field / "1.png", photo(11, 384, 384))
    return SmallSet(
        folder / "Small",
        folder / "photos",
        folder / "labels",
        folder / "held",
        folder / "val",
        pairs={folder / "real": 2, folder / "large": 3},
        val_pairs={"clips": folder / "judged"},
        held_pairs={"clips": folder / "test"},
        workers=1,
    )


@pytest.fixture(scope="module")
def splits(job) -> dict[str, int]:
    return make_small_set(job)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_each_split_is_what_the_job_says_and_a_second_run_changes_nothing(job, splits):
    # Photos of 272 pixels lose 64, or where trails are long 96, and are then smaller than a window.
    windows = {1.0: {64: 4, 96: 1}, 1.6: {64: 9}}
    crops = 2 * sum(blur.copies * windows[blur.scale][blur.lost] for blur in BLURS.values())
    frames = {"real_1": 3 * 2, "real_2": 9 * 3, "half_2": 1 * 6, "frames_2": 9 * 6, "filmed_2": 9 * 6}
    assert splits == {
        "train": crops + sum(frames.values()),
        **dict.fromkeys(("val_synthetic", "synthetic", "val_clips", "clips"), 1),
        "val_filmed": 4,
    }
    made = files(job.output)
    assert make_small_set(job) == splits
    assert files(job.output) == made


def test_splits_are_data_sets_with_both_kinds_of_masks(job, splits):
    for split in splits:
        root = {name: str(job.output / split / name) for name in FIELDS}
        pairs = {"dataroot_gt": root["target"], "dataroot_lq": root["input"]}
        regions = PairedImageGroupMaskDataset(**pairs, dataroot_mask=root["grouped_masks"])
        assert len(regions) == len(PairedImageMaskDataset(**pairs, dataroot_mask=root["input_mask"]))
        for index in range(0, len(regions), 7):
            sample = regions[index]
            assert (
                sample["lq"].shape == sample["gt"].shape and sample["labels"].shape == sample["lq"].shape[1:]
            )
            assert sample["labels"].max() > 1


def test_what_is_tested_on_is_not_trained_on(job, splits):
    trained = {path.name for path in (job.output / "train/input").iterdir()}
    assert {name.split("_")[0] for name in trained} == {*BLURS, "real", "half", "frames", "filmed"}
    assert not any("_c_" in name or "_v_" in name or name.startswith("held") for name in trained)
    judged = {split: [path.name for path in (job.output / split / "input").iterdir()] for split in splits}
    assert judged["val_synthetic"] == ["v_0.png"] and judged["synthetic"] == ["c_0.png"]
    assert sorted(judged["val_filmed"]) == [f"v_{copy}.png" for copy in range(4)]
    assert judged["val_clips"] == ["5.png"] and judged["clips"] == ["1.png"]
    frames = read_rgb(next((job.output / "train/input").glob("real_1_0_*")))
    assert frames.shape == (180, 320, 3), "frames smaller than a window stay whole"


def test_large_real_pairs_are_also_shown_at_half_their_size(job, splits):
    whole = read_rgb(job.output.parent / "large/input/1.png").astype(float)
    halved = sorted((job.output / "train/input").glob("half_*"))
    assert len(halved) == 6, "one window of 192 pixels, twice as often as the crops of the whole"
    means = whole.reshape(192, 2, 192, 2, 3).mean((1, 3))
    np.testing.assert_allclose(read_rgb(halved[0]), means, atol=0.51)


def test_some_kinds_of_blur_alone(job):
    some = dataclasses.replace(job, output=job.output.parent / "Some", kinds=["passing", "phone"], pairs=None)
    assert make_small_set(some)["train"] == 2 * 4 * (2 + 3)
    trained = {path.name.split("_")[0] for path in (some.output / "train/input").iterdir()}
    assert trained == {"passing", "phone"}
    with pytest.raises(UserError, match="kinds: no blur 'fog'; take some of uniform, "):
        dataclasses.replace(job, kinds=["fog"])


def test_whole_pairs_have_the_size_of_photos_without_what_blur_takes(job):
    whole = dataclasses.replace(job, output=job.output.parent / "Whole", kinds=["clips"], whole=True)
    made = {"clips": 2 * 4, "real_1": 3 * 2, "real_2": 3, "half_2": 6, "frames_2": 6, "filmed_2": 6}
    assert make_small_set(whole)["train"] == sum(made.values())
    sides = {path.name: read_rgb(path).shape[0] for path in (whole.output / "train/target").iterdir()}
    assert {side for name, side in sides.items() if name.startswith("clips")} == {SIDE - 64}
    assert {side for name, side in sides.items() if name.startswith("real_2")} == {384}


def test_two_images_never_get_one_name(tmp_path):
    for place in ("a_b.png", "a/b.png"):
        write_png(tmp_path / "in/input" / place, photo(1, 8, 8))
    with pytest.raises(UserError, match=r"a/b\.png and \S*a_b\.png: both would become \S*a_b\.png; rename"):
        link_pairs(tmp_path / "in", tmp_path / "out", "", ("input",))
    assert not (tmp_path / "out").exists()


def test_pairs_without_a_sharp_side_are_one_line_before_anything_is_made(job, tmp_path):
    (tmp_path / "real/input").mkdir(parents=True)
    other = dataclasses.replace(job, output=tmp_path / "Small", pairs={tmp_path / "real": 1})
    with pytest.raises(
        UserError, match=r"real/target: no such folder; pairs have the folders input and target"
    ):
        make_small_set(other)
    assert not (tmp_path / "Small").exists()
