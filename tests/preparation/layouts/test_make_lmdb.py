"""Folders into LMDB and back: the same bytes, the same keys, the same samples."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from basicsr.data.paired import IoBackend, PairedImageGroupMaskDataset
from basicsr.preparation.layouts.make_lmdb import make_lmdb
from basicsr.storage import DiskStorage, LmdbStorage
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png

SUFFIXES = (".png", ".jpg", ".npz")


@pytest.mark.parametrize("workers", [1, 2])
def test_entries_are_the_files_byte_for_byte(tmp_path, workers):
    source = tmp_path / "files"
    photo = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    write_png(source / "b.v2.png", photo)
    write_png(source / "clip one" / "a.png", photo[..., 0].astype(np.uint16) * 200)
    (source / "c.jpg").write_bytes(cv2.imencode(".jpg", photo)[1].tobytes())
    np.savez_compressed(source / "d.npz", masks=np.ones((5, 1, 12, 20), bool))
    assert make_lmdb(source, tmp_path / "set.lmdb", workers) == 4
    stored, files = LmdbStorage(tmp_path / "set.lmdb"), DiskStorage(source, SUFFIXES)
    assert stored.keys() == files.keys() == ["b.v2", "c", "clip one/a", "d"]
    assert all(stored.read(key) == files.read(key) for key in files.keys())  # noqa: SIM118
    assert (tmp_path / "set.lmdb" / "meta_info.txt").read_text().splitlines() == [
        "b.v2.png (12,20,3) 1",
        "c.png (12,20,3) 1",
        "clip one/a.png (12,20,1) 1",
        "d.png (12,20,5) 1",
    ]


@pytest.mark.parametrize("published", [False, True])
def test_a_data_set_gives_the_same_samples_from_lmdb(paired_set, published):
    if published:
        for path in (paired_set / "grouped_masks").glob("*.png"):
            labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            np.savez_compressed(
                path.with_suffix(".npz"), masks=labels == np.arange(1, 4)[:, None, None, None]
            )
            path.unlink()
    folders = ("target", "input", "grouped_masks")
    for folder in folders:
        make_lmdb(paired_set / folder, paired_set / f"{folder}.lmdb", 1)
    names = ("dataroot_gt", "dataroot_lq", "dataroot_mask")
    roots = [
        {name: str(paired_set / f"{folder}{end}") for name, folder in zip(names, folders, strict=True)}
        for end in ("", ".lmdb")
    ]
    from_disk = PairedImageGroupMaskDataset(**roots[0])
    from_lmdb = PairedImageGroupMaskDataset(**roots[1], io_backend=IoBackend("lmdb"))
    assert len(from_disk) == len(from_lmdb) == 6
    for number in range(6):
        one, other = from_disk[number], from_lmdb[number]
        assert one.keys() == other.keys() >= {"gt", "lq", "labels"}
        assert all(torch.equal(one[name], other[name]) for name in ("gt", "lq", "labels"))
        assert one["labels"].max() == 3


def test_the_database_grows_beyond_lmdbs_first_size(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (256, 1024, 3), np.uint8)
    for number in range(18):
        write_png(tmp_path / "files" / f"{number}.png", noise + number)
    make_lmdb(tmp_path / "files", tmp_path / "set.lmdb", 1)
    data = sum(path.stat().st_size for path in (tmp_path / "files").iterdir())
    found = (tmp_path / "set.lmdb" / "data.mdb").stat()
    assert 10 * 2**20 < data < found.st_size < 1.1 * data, "more than LMDB's 10 MiB, but nothing reserved"
    assert found.st_blocks * 512 < 1.1 * data
    assert len(LmdbStorage(tmp_path / "set.lmdb").keys()) == 18


def test_with_broken_files_there_is_no_lmdb_and_all_are_told(paired_set):
    target = paired_set / "target"
    for name in ("photo_1.png", "photo_4.png"):
        (target / name).write_bytes((target / name).read_bytes()[:-30])
    with pytest.raises(UserError) as told:
        make_lmdb(target, paired_set / "target.lmdb", 1)
    assert str(told.value).splitlines()[0].startswith("2 of 6")
    assert "photo_1.png" in str(told.value) and "photo_4.png" in str(told.value)
    assert sorted(path.name for path in paired_set.iterdir()) == sorted(
        ["grouped_masks", "input", "input_mask", "target"]
    )


def test_what_exists_is_refused_and_kept(paired_set):
    make_lmdb(paired_set / "target", paired_set / "set.lmdb", 1)
    before = (paired_set / "set.lmdb" / "data.mdb").read_bytes()
    with pytest.raises(UserError, match="set.lmdb: exists already"):
        make_lmdb(paired_set / "input", paired_set / "set.lmdb", 1)
    assert (paired_set / "set.lmdb" / "data.mdb").read_bytes() == before
    with pytest.raises(UserError, match="lies in the input folder"):
        make_lmdb(paired_set / "target", paired_set / "target" / "set.lmdb", 1)


def test_two_files_of_one_key_are_refused(paired_set):
    data = (paired_set / "target" / "photo_0.png").read_bytes()
    (paired_set / "target" / "photo_0.PNG").write_bytes(data)
    with pytest.raises(UserError, match="share the key 'photo_0'"):
        make_lmdb(paired_set / "target", paired_set / "set.lmdb", 1)
