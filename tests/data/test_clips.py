"""Clips from metadata.json, from folders, LMDB and sharp frames: order, boxes, one way of cutting for all."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from basicsr.data.boxes import read_box, widened
from basicsr.data.clip_metadata import Clip, ClipMetadata
from basicsr.data.clips import AveragedClipDataset, ClipDataset, average_light
from basicsr.data.paired import IoBackend, SampleIndex
from basicsr.storage import write_lmdb
from basicsr.synthesis.frame_average import ResponseTable, average_frames
from basicsr.utils.errors import UserError
from basicsr.utils.image import encode_png, write_png

ORDERS = ("ignore", "keep", "reverse", "random")
FRAMES = 5


def frame(clip: int, number: int) -> np.ndarray:
    """Red and green are row and column, blue is ten times the clip and the number."""
    rows, columns = np.mgrid[0:24, 0:30]
    return np.stack([rows, columns, np.full_like(rows, 10 * clip + number)], -1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Four training clips, one of each order, and a test clip."""
    root = tmp_path / "set"
    clips = []
    for clip, order in enumerate([*ORDERS, "keep"]):
        name = f"{clip:05d}/0000"
        for number in range(1, FRAMES + 1):
            write_png(root / f"{clip:05d}/sharp/0000_{number}.png", frame(clip, number))
        write_png(root / f"{clip:05d}/blur/0000.png", frame(clip, 0))
        paths = tuple(f"{clip:05d}/sharp/0000_{number}.png" for number in range(1, FRAMES + 1))
        box = f"{clip:05d}/box.pkl"
        (root / box).write_bytes(pickle.dumps({"bbox": [5, 4, 17, 20]}))
        partition = "test" if clip == 4 else "train"
        clips.append(Clip(name, order, partition, f"{clip:05d}/blur/0000.png", paths, box))
    ClipMetadata("set", FRAMES, clips).write(root / "metadata.json")
    return root


def dataset(folder, **options) -> ClipDataset:
    return ClipDataset(dataroot_gt=str(folder), metadata=str(folder / "metadata.json"), **options)


def numbers(frames: torch.Tensor) -> list[int]:
    return [int(value) % 10 for value in (255 * frames[:, 2, 0, 0]).round()]


def test_frames_are_read_as_their_order_says(folder):
    train = dataset(folder, train=True)
    assert train.keys == [f"{clip:05d}/0000" for clip in range(4)] and train.delivers == (
        "frames",
        "lq",
        "middle",
    )
    read = [numbers(train[number]["frames"]) for number in range(4)]
    there, back = [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]
    assert read[:3] == [there, there, back] and read[3] in (there, back)
    tossed = [numbers(train[SampleIndex(3, epoch)]["frames"]) for epoch in range(12)]
    assert there in tossed and back in tossed
    assert tossed == [numbers(train[SampleIndex(3, epoch)]["frames"]) for epoch in range(12)]
    stored = dataset(folder, train=True, order="stored")
    assert all(numbers(stored[number]["frames"]) == there for number in range(4))


def test_a_sample_has_photo_frames_and_the_middle_one(folder):
    sample = dataset(folder)[0]
    assert sample["key"] == "00004/0000"
    assert sample["frames"].shape == (5, 3, 24, 30) and sample["lq"].shape == (3, 24, 30)
    assert torch.equal(sample["middle"], sample["frames"][2])
    assert (255 * sample["lq"][2]).round().unique().tolist() == [40]
    places = dataset(folder).places("00004/0000")
    assert places["lq"].endswith("blur/0000.png") and "0000_1.png .. " in places["frames"]


def test_photo_and_frames_are_cut_together(folder):
    train = dataset(folder, train=True, gt_size=16, use_flip=True, use_rot=True)
    for number in range(4):
        sample = train[number]
        assert sample["frames"].shape == (5, 3, 16, 16)
        assert all(torch.equal(one[:2], sample["lq"][:2]) for one in sample["frames"])


def test_some_frames_may_be_chosen(folder):
    assert numbers(dataset(folder, target_frames=[1, 3, 5])[0]["frames"]) == [1, 3, 5]
    chosen = dataset(folder, train=True, target_frames=[1, 3])
    assert numbers(chosen[2]["frames"]) == [3, 1], "reversed after the choice"
    with pytest.raises(ValueError, match="target_frames: 6 is beyond the 5 frames"):
        dataset(folder, target_frames=[6])


def test_normalization_reaches_every_image(folder):
    plain, changed = dataset(folder), dataset(folder, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    for name in ("frames", "lq", "middle"):
        torch.testing.assert_close(changed.denormalize(changed[0][name]), plain[0][name])


def test_mistakes_in_the_file_are_told_before_anything_is_read(folder):
    (folder / "00001/sharp/0000_2.png").unlink()
    with pytest.raises(UserError, match=r"'00001/0000': .*set has no 00001/sharp/0000_2\.png"):
        dataset(folder)
    with pytest.raises(UserError, match="no clip in the partition val"):
        dataset(folder_without(folder), partition="val")


def folder_without(folder):
    content = json.loads((folder / "metadata.json").read_text())
    content["data"] = [record for record in content["data"] if record["id"] != "00001/0000"]
    (folder / "metadata.json").write_text(json.dumps(content))
    return folder


def test_an_lmdb_holds_the_same(folder, tmp_path):
    keys = [path.relative_to(folder).with_suffix("").as_posix() for path in sorted(folder.rglob("*.png"))]
    items = ((key, (folder / f"{key}.png").read_bytes(), (24, 30, 3)) for key in keys)
    write_lmdb(tmp_path / "set.lmdb", items)
    packed = ClipDataset(
        dataroot_gt=str(tmp_path / "set.lmdb"),
        metadata=str(folder / "metadata.json"),
        io_backend=IoBackend("lmdb"),
    )
    for name in ("frames", "lq"):
        assert torch.equal(packed[0][name], dataset(folder)[0][name])


class TestBoxes:
    def test_every_frame_is_cut_alike_and_resized(self, folder):
        sample = dataset(folder, box_size=(16, 12))[0]
        assert sample["frames"].shape == (5, 3, 16, 12) and sample["lq"].shape == (3, 16, 12)
        rows, columns = (255 * sample["lq"][:2]).round()
        assert rows[:, 0].tolist() == list(range(4, 20)) and columns[0].tolist() == list(range(5, 17))
        assert torch.equal(sample["frames"][0][:2], sample["lq"][:2])

    def test_in_training_they_are_widened_by_one_draw_a_clip(self, folder):
        train = dataset(folder, train=True, box_size=(16, 12))
        sample = train[0]
        assert all(torch.equal(one[:2], sample["lq"][:2]) for one in sample["frames"])

    def test_they_stay_inside(self):
        generator = np.random.default_rng(0)
        for _ in range(50):
            x0, y0, x1, y1 = widened((5, 4, 17, 200), 100, 30, generator)
            assert 0 <= x0 <= 5 and 0 <= y0 <= 4 and 17 <= x1 <= 30 and y1 == 100
        assert widened((5, 4, 17, 20), 100, 30, None) == (5, 4, 17, 20)

    def test_pickles_that_could_run_code_are_refused(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return print, ("boom",)

        (tmp_path / "box.pkl").write_bytes(pickle.dumps({"bbox": Bomb()}))
        with pytest.raises(UserError, match=r"box\.pkl: no bounding box .*could run code"):
            read_box(tmp_path / "box.pkl")

    def test_numbers_of_numpy_and_json_are_read(self, tmp_path):
        (tmp_path / "box.pkl").write_bytes(pickle.dumps({"bbox": np.array([1.2, 2, 30, 40])}))
        (tmp_path / "box.json").write_text('{"bbox": [1, 2, 30, 40]}')
        assert read_box(tmp_path / "box.pkl") == read_box(tmp_path / "box.json") == (1, 2, 30, 40)
        (tmp_path / "box.json").write_text('{"bbox": [30, 2, 1, 40]}')
        with pytest.raises(UserError, match="holds no pixel"):
            read_box(tmp_path / "box.json")


class TestAveraged:
    def sharp(self, tmp_path, count: int = 9):
        rng = np.random.default_rng(0)
        frames = [rng.integers(0, 256, (20, 24, 3), np.uint8) for _ in range(count)]
        for number, picture in enumerate(frames):
            write_png(tmp_path / f"clip/{number}.png", picture)
        return frames

    def test_the_photo_is_the_mean_of_the_light(self, tmp_path):
        frames = self.sharp(tmp_path)
        sample = AveragedClipDataset(dataroot_gt=str(tmp_path), frames=3, gap=2, stride=1)[1]
        assert sample["key"] == "clip/1"
        read = (255 * sample["frames"]).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        assert all(np.array_equal(one, frames[number]) for one, number in zip(read, (1, 3, 5), strict=True))
        expected = average_frames(frames[1:6], ResponseTable.from_gamma(2.2), "nearest")
        lq = (255 * sample["lq"]).round().permute(1, 2, 0).numpy()
        assert np.abs(lq - expected).max() <= 1 and (lq != expected).mean() < 0.01
        torch.testing.assert_close(sample["middle"], sample["frames"][1])

    def test_windows_follow_each_other_or_overlap(self, tmp_path):
        self.sharp(tmp_path)
        assert AveragedClipDataset(dataroot_gt=str(tmp_path), frames=4).keys == ["clip/0", "clip/4"]
        assert len(AveragedClipDataset(dataroot_gt=str(tmp_path), frames=4, stride=1)) == 6
        with pytest.raises(UserError, match="no clip has 11 consecutive frames"):
            AveragedClipDataset(dataroot_gt=str(tmp_path), frames=6, gap=2)

    def test_crops_are_averaged_not_whole_frames(self, tmp_path):
        self.sharp(tmp_path)
        sample = AveragedClipDataset(dataroot_gt=str(tmp_path), frames=3, gt_size=16, train=True)[0]
        torch.testing.assert_close(sample["lq"], average_light(sample["frames"], 2.2))


def test_the_file_of_frames_that_do_not_fit_is_named(folder):
    (folder / "00004/sharp/0000_3.png").write_bytes(encode_png(np.zeros((9, 9, 3), np.uint8)))
    with pytest.raises(UserError, match=r"0000_3\.png: has 9x9 pixels"):
        dataset(folder)[0]
