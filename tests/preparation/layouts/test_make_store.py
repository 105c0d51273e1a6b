"""Splits without compression: the same samples, checked once, and nothing that exists is touched."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from basicsr.data.paired import IoBackend, PairedImageGroupMaskDataset, PairedImageMaskDataset, SampleIndex
from basicsr.preparation.layouts.crop_patches import CROP_FOLDERS, CropWindows, crop_split
from basicsr.preparation.layouts.make_store import make_store
from basicsr.storage import LmdbStorage
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png

FOLDERS = ("target", "input", "grouped_masks", "input_mask")


def roots(folder, names=FOLDERS) -> dict[str, str]:
    keys = ("dataroot_gt", "dataroot_lq", "dataroot_mask")
    return {key: f"{folder}/{name}" for key, name in zip(keys, names, strict=False)}


@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_samples_are_those_of_the_files(paired_set, tmp_path, cropped: bool, depth):
    photo = np.random.default_rng(0).integers(0, np.iinfo(depth).max, (40, 48, 3), depth)
    for folder in ("target", "input"):
        write_png(paired_set / folder / "photo_3.png", photo)
    split, names, count = paired_set, FOLDERS, 6
    if cropped:
        crop_split(paired_set, tmp_path / "crops", CropWindows(24, 24))
        split, names, count = tmp_path / "crops", tuple(CROP_FOLDERS[name] for name in FOLDERS), 24
    assert make_store(split, tmp_path / "store") == dict.fromkeys(names, count)
    for kind, fields in (
        (PairedImageGroupMaskDataset, names[:3]),
        (PairedImageMaskDataset, (*names[:2], names[3])),
    ):
        options = {"train": True, "gt_size": 16, "use_flip": True, "use_rot": True, "seed": 1}
        files = kind(**roots(split, fields), **options)
        stored = kind(**roots(tmp_path / "store", fields), io_backend=IoBackend("lmdb"), **options)
        for number in range(2 * count):  # also when an entry is read again
            one, other = files[SampleIndex(number, 0)], stored[SampleIndex(number, 0)]
            assert one.keys() == other.keys() and one["key"] == other["key"]
            assert all(torch.equal(one[name], other[name]) for name in one if name != "key")


def test_published_masks_become_label_maps(paired_set, tmp_path):
    ids = np.repeat([[0, 128, 255]], 40, 0).repeat(16, 1).astype(np.uint8)
    write_png(paired_set / "grouped_masks/photo_0.png", ids)
    before = PairedImageGroupMaskDataset(**roots(paired_set))[0]["labels"]
    make_store(paired_set, tmp_path / "store")
    stored = PairedImageGroupMaskDataset(**roots(tmp_path / "store"), io_backend=IoBackend("lmdb"))
    assert torch.equal(stored[0]["labels"], before) and before.unique().tolist() == [1, 2, 3]


def test_a_second_call_continues_and_keeps(paired_set, tmp_path):
    make_store(paired_set, tmp_path / "store")
    before = (tmp_path / "store/target/data.mdb").stat()
    shutil.rmtree(tmp_path / "store/input")
    assert make_store(paired_set, tmp_path / "store")["input"] == 6
    assert (tmp_path / "store/target/data.mdb").stat() == before


def test_damage_is_found_at_the_first_reading_and_at_every_one_after(paired_set, tmp_path):
    make_store(paired_set, tmp_path / "store")
    file = tmp_path / "store/target/data.mdb"
    data = bytearray(file.read_bytes())
    entry = LmdbStorage(tmp_path / "store/target").read("photo_2")
    place = data.find(entry[200:400])
    data[place] ^= 1
    file.write_bytes(data)
    storage = LmdbStorage(tmp_path / "store/target")
    for _ in range(2):
        with pytest.raises(UserError, match="photo_2: damaged, its content does not match its checksum"):
            storage.read("photo_2")
    with pytest.raises(UserError, match="damaged"):
        make_store(paired_set, tmp_path / "store")


def test_what_does_not_pair_or_is_no_split_is_refused(paired_set, tmp_path):
    with pytest.raises(UserError, match="has none of the folders target, sharp_crops"):
        make_store(tmp_path, tmp_path.parent / "store")
    (paired_set / "input/photo_1.png").unlink()
    with pytest.raises(UserError, match="photo_1"):
        make_store(paired_set, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(UserError, match="lies in the input folder"):
        make_store(paired_set, paired_set / "store")
