"""Samples that cannot be read, and odd ones: who takes their place, and what is said."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from basicsr.config.schema import DatasetOptions
from basicsr.data.loader import batches, train_loader
from basicsr.data.paired import ImageDataset, SampleIndex
from basicsr.data.remarks import Remark
from basicsr.data.sampler import TrainSampler
from basicsr.data.training_samples import TrainingSamples, substitutes
from basicsr.masks.label_map import write_label_map
from basicsr.storage import DiskStorage, write_lmdb
from basicsr.utils.dist import Ranks
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png
from basicsr.utils.registry import DATASETS


def data_set(folder: Path, name: str = "PairedImageGroupMaskDataset", **options) -> ImageDataset:
    asked = DATASETS.options(name)
    roots = {"dataroot_gt": "target", "dataroot_lq": "input", "dataroot_mask": "grouped_masks"}
    options = {key: f"{folder}/{root}" for key, root in roots.items() if key in asked} | options
    dataset = DATASETS.build(name, {"gt_size": 16, "use_flip": True} | options, seed=3, train=True)
    assert isinstance(dataset, ImageDataset)
    return dataset


def stream(
    dataset: ImageDataset, unreadable: str, count: int, workers: int = 0, size: int = 4, **share
) -> list[dict]:
    """The first batches of a training run."""
    options = DatasetOptions(type="x", name="set", num_worker_per_gpu=workers, unreadable=unreadable)
    ranks = Ranks(share.pop("rank", 0), share.pop("world_size", 1))
    loader = train_loader(dataset, options, size, ranks, seed=5, **share)
    return list(itertools.islice(batches(loader), count))


def assert_same(one: list[dict], other: list[dict]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert left.keys() == right.keys()
        for key, item in left.items():
            assert item.equal(right[key]) if isinstance(item, torch.Tensor) else item == right[key]


@pytest.fixture
def harmed(paired_set) -> Path:
    """Two of six photos cannot be read."""
    (paired_set / "input/photo_1.png").write_bytes(b"no image")
    (paired_set / "target/photo_4.png").write_bytes(b"")
    return paired_set


@pytest.mark.parametrize("workers", [0, 1])
def test_as_a_rule_the_first_that_cannot_be_read_ends_it(harmed, workers: int):
    with pytest.raises(UserError, match=r"^[^\n]*photo_[14]\.png: not an image[^\n]*$"):
        stream(data_set(harmed), "stop", 3, workers)


def test_others_take_their_places(harmed):
    """Those that can be read stand where they stood, and each file that cannot is named."""
    found = stream(data_set(harmed), "skip", 6)
    keys = [key for batch in found for key in batch["key"]]
    order = itertools.islice(TrainSampler(6, 4, 0, 1, seed=5, shuffle=True), 6)
    asked = [number for batch in order for number, _ in batch]
    assert all(key == f"photo_{n}" for key, n in zip(keys, asked, strict=True) if n not in (1, 4))
    assert not {"photo_1", "photo_4"} & set(keys)
    remarks = {remark for batch in found for remark in batch.get("remarks", ())}
    assert {remark.kind for remark in remarks} == {"unreadable"}
    assert sorted(Path(remark.text.split(": ")[0]).name for remark in remarks) == [
        "photo_1.png",
        "photo_4.png",
    ]


def test_who_takes_a_place_depends_on_no_worker_and_no_earlier_sample(harmed):
    dataset = data_set(harmed)
    whole = stream(dataset, "skip", 7)
    assert_same(whole, stream(dataset, "skip", 7, workers=1))
    assert_same(whole, stream(dataset, "skip", 7, workers=2))
    assert_same(whole[3:], stream(dataset, "skip", 4, workers=2, samples_done=12))


def test_processes_together_see_what_one_sees(harmed):
    dataset = data_set(harmed)
    alone = stream(dataset, "skip", 5)
    shares = [stream(dataset, "skip", 5, size=2, rank=rank, world_size=2) for rank in range(2)]
    for step, batch in enumerate(alone):
        together = torch.stack([share[step]["gt"] for share in shares], 1).flatten(0, 1)
        assert together.equal(batch["gt"])


@pytest.mark.parametrize(
    "name", ["PairedImageDataset", "PairedImageMaskDataset", "SyntheticRainDataset", "SyntheticBlurDataset"]
)
def test_every_data_set_can_skip(name: str, paired_set):
    (paired_set / "target/photo_2.png").write_bytes(b"no image")
    dataset = data_set(paired_set, name)
    keys = [key for batch in stream(dataset, "skip", 6) for key in batch["key"]]
    assert len(keys) == 24 and "photo_2" not in keys


def test_entries_of_an_lmdb_are_skipped_as_well(paired_set, tmp_path):
    for root in ("input", "target"):
        storage = DiskStorage(paired_set / root, (".png",))
        broken = {"photo_3": b"no image"} if root == "input" else {}
        read = {key: broken.get(key, storage.read(key)) for key in storage.keys()}  # noqa: SIM118
        items = [(key, data, (40, 48, 3)) for key, data in read.items()]
        write_lmdb(tmp_path / f"{root}.lmdb", items)
    roots = {"dataroot_gt": f"{tmp_path}/target.lmdb", "dataroot_lq": f"{tmp_path}/input.lmdb"}
    dataset = data_set(paired_set, "PairedImageDataset", io_backend={"type": "lmdb"}, **roots)
    found = stream(dataset, "skip", 6, workers=1)
    assert "photo_3" not in [key for batch in found for key in batch["key"]]
    (remark,) = {remark for batch in found for remark in batch.get("remarks", ())}
    assert remark.text.startswith(f"{tmp_path}/input.lmdb:photo_3: not an image")


def test_where_all_fail_it_ends_with_a_line(paired_set):
    for path in (paired_set / "input").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(UserError) as error:
        stream(data_set(paired_set), "skip", 1, workers=1)
    assert "photo_" in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).endswith("5 substitutes cannot be read either")


@pytest.mark.parametrize("size", [1, 2, 5, 11, 12, 400])
@pytest.mark.parametrize("number", [0, 3, 1000])
def test_substitutes_are_other_images_each_once(number: int, size: int):
    epoch = 2
    found = list(substitutes(SampleIndex(number, epoch), size, seed=7))
    images = [which.number % size for which in found]
    assert len(set(images)) == len(images) == min(10, size - 1) and number % size not in images
    assert {which.epoch for which in found} <= {epoch}


def test_a_photo_smaller_than_the_crop_and_masks_without_regions_are_told(paired_set):
    """They are trained on all the same."""
    for root in ("input", "target"):
        write_png(paired_set / root / "photo_0.png", np.zeros((40, 12, 3), np.uint8))
    write_label_map(paired_set / "grouped_masks/photo_0.png", np.ones((40, 12), np.int32))
    write_label_map(paired_set / "grouped_masks/photo_1.png", np.zeros((40, 48), np.int32))
    (paired_set / "grouped_masks/photo_2.png").unlink()
    np.savez_compressed(paired_set / "grouped_masks/photo_2.npz", masks=np.zeros((0, 1, 40, 48), np.bool_))
    samples = TrainingSamples(data_set(paired_set), "stop")
    output = [samples[SampleIndex(number, 0)] for number in range(4)]
    assert [sample["key"] for sample, _ in output] == [f"photo_{number}" for number in range(4)]
    place = f"{paired_set}/target/photo_0.png"
    assert [remarks for _, remarks in output] == [
        [Remark("small", f"{place}: 12x40 pixels, less than the crop of 16x16")],
        [Remark("empty", f"{paired_set}/grouped_masks/photo_1.png: no region in it")],
        [Remark("empty", f"{paired_set}/grouped_masks/photo_2.npz: no region in it")],
        [],
    ]


def test_a_black_mask_has_no_region(paired_set):
    write_png(paired_set / "input_mask/photo_5.png", np.zeros((40, 48), np.uint8))
    dataset = data_set(paired_set, "PairedImageMaskDataset", dataroot_mask=f"{paired_set}/input_mask")
    sample, remarks = dataset.read(SampleIndex(5, 0))
    assert remarks == [Remark("empty", f"{paired_set}/input_mask/photo_5.png: no region in it")]
    assert sample["mask"].eq(0).all()


def test_an_exact_fit_is_not_small(paired_set):
    assert data_set(paired_set, gt_size=40).read(SampleIndex(0, 0))[1] == []
    assert len(data_set(paired_set, gt_size=41).read(SampleIndex(0, 0))[1]) == 1


def test_label_maps_of_batches_are_numbered_without_gaps(paired_set):
    """Whatever numbers the regions of a photo have; so tables of regions are small and of known size."""
    for number in range(6):
        ids = np.where(np.arange(48) < 24, 60_000, 7 * number) * np.ones((40, 1), np.int64)
        write_label_map(paired_set / f"grouped_masks/photo_{number}.png", ids)
    dataset = data_set(paired_set)
    seen = set()
    for batch in stream(dataset, "stop", 6):
        assert batch["labels"].dtype == torch.uint8
        for labels in batch["labels"]:
            found = labels.unique().tolist()
            assert found in ([0], [1], [0, 1], [1, 2])
            seen.add(tuple(found))
    assert (1, 2) in seen
