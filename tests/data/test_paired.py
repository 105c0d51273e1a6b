"""Pairs, masks and label maps stay together, whatever is cropped, flipped, resumed or spread over workers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from basicsr.data.fields import label_field
from basicsr.data.paired import (
    IoBackend,
    PairedImageDataset,
    PairedImageGroupMaskDataset,
    PairedImageMaskDataset,
    SampleIndex,
)
from basicsr.data.pairing import require_same
from basicsr.masks.label_map import write_label_map
from basicsr.storage import DiskStorage, write_lmdb
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png


def labeled(folder, **options) -> PairedImageGroupMaskDataset:
    roots = {"dataroot_gt": f"{folder}/target", "dataroot_lq": f"{folder}/input"}
    return PairedImageGroupMaskDataset(**roots, dataroot_mask=f"{folder}/grouped_masks", **options)


def pixel_origins(gt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column in the file of each pixel of an image of the set ``paired_set``."""
    return (gt[0] * 255 / 4).round().int(), (gt[1] * 255 / 4).round().int()


def test_whole_images_in_order_of_their_keys(paired_set):
    dataset = labeled(paired_set, gt_size=16, use_flip=True)
    sample = dataset[2]
    assert sample["key"] == "photo_2"
    assert sample["gt"].shape == sample["lq"].shape == (3, 40, 48)
    assert sample["labels"].shape == (40, 48)
    assert (sample["gt"].dtype, sample["labels"].dtype) == (torch.float32, torch.int32)
    assert dataset.delivers == ("gt", "lq", "labels")
    torch.testing.assert_close(sample["lq"] - sample["gt"], torch.full((3, 40, 48), 3 / 255))
    assert sample["gt"][2, 0, 0].item() == pytest.approx(20 / 255)


def test_labels_stay_on_their_pixels_through_crops_flips_and_transposition(paired_set):
    """The fault of the published loader: it transposed the image and rotated the masks."""
    dataset = labeled(paired_set, gt_size=20, use_flip=True, use_rot=True, train=True, seed=3)
    orientations = set()
    for number in range(48):
        sample = dataset[SampleIndex(number, epoch=0)]
        rows, columns = pixel_origins(sample["gt"])
        expected = torch.where(columns < 24, 1 + rows // 20, 3)
        expected[rows < 2] = 0
        assert torch.equal(sample["labels"], expected.int())
        torch.testing.assert_close(sample["lq"] - sample["gt"], torch.full((3, 20, 20), 3 / 255))
        down, right = rows[1, 0] - rows[0, 0], columns[0, 1] - columns[0, 0]
        across = rows[0, 1] - rows[0, 0], columns[1, 0] - columns[0, 0]
        orientations.add((int(down), int(right), int(across[0]), int(across[1])))
    assert len(orientations) == 8, "all symmetries of the square occur"


def test_the_mask_channel_stays_on_its_pixels_too(paired_set):
    roots = {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    options = {"gt_size": 20, "use_flip": True, "use_rot": True, "train": True}
    dataset = PairedImageMaskDataset(**roots, dataroot_mask=f"{paired_set}/input_mask", **options)
    sample = dataset[SampleIndex(5, 1)]
    rows, columns = pixel_origins(sample["gt"])
    expected = torch.where(columns < 24, 1 + rows // 20, 3) * (rows >= 2)
    torch.testing.assert_close(sample["mask"], (expected * 50 / 255)[None].float())


def test_a_sample_depends_on_seed_epoch_and_number_alone(paired_set):
    options = {"gt_size": 16, "use_flip": True, "use_rot": True, "train": True}
    dataset = labeled(paired_set, seed=1, **options)
    again = labeled(paired_set, seed=1, **options)
    np.random.seed(0)
    torch.manual_seed(0)
    first = [dataset[SampleIndex(number, 2)]["gt"] for number in range(6)]
    second = [again[SampleIndex(number, 2)]["gt"] for number in reversed(range(6))]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(second), strict=True))
    assert not all(torch.equal(first[n], dataset[SampleIndex(n, 3)]["gt"]) for n in range(6))
    assert not all(
        torch.equal(first[n], labeled(paired_set, seed=2, **options)[SampleIndex(n, 2)]["gt"])
        for n in range(6)
    )
    enlarged = dataset[SampleIndex(6 + 1, 2)]
    assert enlarged["key"] == "photo_1"
    assert not torch.equal(enlarged["gt"], first[1])


def test_without_seed_and_epoch_both_are_zero(paired_set):
    options = {"gt_size": 16, "use_flip": True, "use_rot": True, "train": True}
    dataset, seeded = labeled(paired_set, **options), labeled(paired_set, seed=0, **options)
    assert all(torch.equal(dataset[n]["gt"], seeded[SampleIndex(n, 0)]["gt"]) for n in range(6))


def test_crops_lie_everywhere_and_flips_are_as_often_as_not(paired_set):
    """Each of 25 x 33 places of a crop of 16 is as likely; each symmetry comes in 1 of 8."""
    dataset = labeled(paired_set, gt_size=16, use_flip=True, use_rot=True, train=True)
    tops, lefts, symmetries = set(), set(), []
    for number in range(400):
        rows, columns = pixel_origins(dataset[SampleIndex(number, 0)]["gt"])
        tops.add(int(rows.min()))
        lefts.add(int(columns.min()))
        symmetries.append(
            (int(rows[1, 1] - rows[0, 0]), int(columns[1, 1] - columns[0, 0]), int(rows[1, 0] != rows[0, 0]))
        )
    assert tops == set(range(25)) and lefts == set(range(33))
    counts = [symmetries.count(kind) for kind in set(symmetries)]
    assert len(counts) == 8 and min(counts) > 22 and max(counts) < 78, "50 are expected, sd 7"


@pytest.mark.parametrize(("options", "kinds"), [
    ({}, {(1, 1)}),
    ({"use_flip": True}, {(1, 1), (1, -1)}),
])  # fmt: skip
def test_images_are_flipped_only_where_asked(paired_set, options: dict, kinds: set[tuple[int, int]]):
    """Signs of rows downwards and of columns to the right."""
    dataset = labeled(paired_set, gt_size=16, train=True, **options)
    seen = set()
    for number in range(24):
        rows, columns = pixel_origins(dataset[SampleIndex(number, 0)]["gt"])
        seen.add((int(rows[1, 0] - rows[0, 0]), int(columns[0, 1] - columns[0, 0])))
    assert seen == kinds


def test_images_that_are_no_larger_than_a_crop_are_extended_on_the_side_that_is_short(paired_set):
    sample = labeled(paired_set, gt_size=44, train=True)[0]
    rows, columns = pixel_origins(sample["gt"])
    assert rows[:, 0].tolist() == [*range(40), 38, 37, 36, 35]
    assert torch.equal(columns[0], torch.arange(44) + columns[0, 0])
    whole = labeled(paired_set, gt_size=40, train=True)[0]
    assert pixel_origins(whole["gt"])[0][:, 0].tolist() == list(range(40))


def test_small_images_are_extended_by_reflection_with_their_labels(paired_set):
    sample = labeled(paired_set, gt_size=60, train=True)[0]
    rows, _ = pixel_origins(sample["gt"])
    assert rows.shape == (60, 60)
    assert rows[:, 0].tolist() == [*range(40), *range(38, 18, -1)]
    assert torch.equal(sample["labels"][rows < 2], torch.zeros(int((rows < 2).sum()), dtype=torch.int32))


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_workers_give_the_same_batches(paired_set, start_method: str):
    dataset = labeled(paired_set, gt_size=16, use_flip=True, use_rot=True, train=True, seed=1)
    order = [[SampleIndex(4, 0), SampleIndex(1, 0)], [SampleIndex(0, 1), SampleIndex(3, 1)]]
    alone = list(DataLoader(dataset, batch_sampler=order))
    spread = list(
        DataLoader(dataset, batch_sampler=order, num_workers=2, multiprocessing_context=start_method)
    )
    for a, b in zip(alone, spread, strict=True):
        assert a["key"] == b["key"]
        assert all(torch.equal(a[name], b[name]) for name in ("lq", "gt", "labels"))
    assert alone[0]["labels"].shape == (2, 16, 16)


def test_lmdb_gives_the_same_samples(paired_set, tmp_path):
    for kind in ("target", "input", "grouped_masks"):
        storage = DiskStorage(paired_set / kind, (".png",))
        keys = storage.keys()
        write_lmdb(tmp_path / f"{kind}.lmdb", [(key, storage.read(key), (40, 48, 3)) for key in keys])
    files = labeled(paired_set)
    lmdb = PairedImageGroupMaskDataset(
        dataroot_gt=str(tmp_path / "target.lmdb"),
        dataroot_lq=str(tmp_path / "input.lmdb"),
        dataroot_mask=str(tmp_path / "grouped_masks.lmdb"),
        io_backend=IoBackend(type="lmdb"),
    )
    assert lmdb.keys == files.keys
    for number in range(6):
        assert all(torch.equal(lmdb[number][name], files[number][name]) for name in ("lq", "gt", "labels"))


def test_published_npz_stacks_and_gray_images_are_read_as_label_maps(paired_set):
    (paired_set / "grouped_masks/photo_0.png").unlink()
    masks = np.zeros((2, 1, 40, 48), bool)
    masks[0, 0, :10], masks[1, 0, 30:] = True, True
    np.savez(paired_set / "grouped_masks/photo_0.npz", masks=masks)
    gray = np.zeros((40, 48), np.uint8)
    gray[:, 10:] = 77
    write_png(paired_set / "grouped_masks/photo_1.png", gray)
    dataset = labeled(paired_set)
    assert sorted(dataset[0]["labels"].unique().tolist()) == [0, 1, 2]
    labels = dataset[1]["labels"]
    assert labels.unique().tolist() == [1, 2], "the gray value 0 is a region, too"
    assert torch.equal(labels == labels[0, 0], torch.from_numpy(gray == 0))


def test_indices_of_a_palette_are_ids_from_files_and_lmdb(paired_set, tmp_path, palette_png):
    ids = np.where(np.arange(48) < 20, 0, 255) * np.ones((40, 1), np.uint8)
    (paired_set / "grouped_masks/photo_1.png").write_bytes(palette_png(ids))
    assert np.array_equal(labeled(paired_set)[1]["labels"], ids)
    file = (paired_set / "grouped_masks/photo_1.png").read_bytes()
    write_lmdb(tmp_path / "labels.lmdb", [("photo_1", file, (40, 48, 1))])
    field = label_field("labels", str(tmp_path / "labels.lmdb"), "lmdb")
    assert np.array_equal(field.load("photo_1", epoch=0), ids)


def test_a_mask_channel_has_values_so_a_palette_with_colors_is_none(paired_set, palette_png):
    dataset = PairedImageMaskDataset(
        dataroot_gt=f"{paired_set}/target",
        dataroot_lq=f"{paired_set}/input",
        dataroot_mask=f"{paired_set}/input_mask",
    )
    (paired_set / "input_mask/photo_1.png").write_bytes(palette_png(np.ones((40, 48))))
    with pytest.raises(UserError, match="input_mask/photo_1.png: expected one channel, found 3 that differ"):
        dataset[1]


def test_training_stops_at_a_jpeg_that_is_damaged_in_the_middle(paired_set, harmed_jpeg):
    (paired_set / "input/photo_1.png").write_bytes(harmed_jpeg)
    with pytest.raises(UserError, match="input/photo_1.png: the JPEG is damaged"):
        labeled(paired_set, train=True, gt_size=16)[SampleIndex(1, 0)]


def test_mean_and_std_are_applied_to_both_images_and_undone(paired_set):
    statistics = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 2.0)}
    plain, normal = labeled(paired_set)[1], labeled(paired_set, **statistics)
    expected = (plain["gt"] - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor([0.5, 0.25, 2.0])[
        :, None, None
    ]
    torch.testing.assert_close(normal[1]["gt"], expected)
    torch.testing.assert_close(normal.denormalize(normal[1]["lq"]), plain["lq"])
    assert torch.equal(normal[1]["labels"], plain["labels"])


def test_a_meta_file_selects_and_orders(paired_set, tmp_path):
    meta = tmp_path / "meta_info.txt"
    meta.write_text("photo_4.png (40,48,3)\nphoto_1.png (40,48,3)\n")
    dataset = labeled(paired_set, meta_info_file=str(meta))
    assert [dataset[i]["key"] for i in range(len(dataset))] == ["photo_4", "photo_1"]
    meta.write_text("photo_4.png\nphoto_9.png\n")
    with pytest.raises(UserError, match=r"target lacks 1 of .*meta_info.txt: photo_9"):
        labeled(paired_set, meta_info_file=str(meta))


def test_pairs_from_linux_and_macos_belong_together(paired_set, tmp_path):
    """macOS writes an accent as a character of its own: other bytes, the same name."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for kind, name in (("target", composed), ("input", decomposed), ("grouped_masks", decomposed)):
        (paired_set / kind / "photo_3.png").rename(paired_set / kind / f"{name}.png")
    assert labeled(paired_set)[0]["key"] == composed
    meta = tmp_path / "meta_info.txt"
    meta.write_bytes(b"\xef\xbb\xbf" + f"{decomposed}.png (40,48,3)\nphoto_1\n".encode())
    dataset = labeled(paired_set, meta_info_file=str(meta))
    assert dataset.keys == [composed, "photo_1"]
    torch.testing.assert_close(dataset[0]["lq"] - dataset[0]["gt"], torch.full((3, 40, 48), 3 / 255))


def test_stems_with_dots_pair_whole(tmp_path):
    for number in range(3):
        for kind in ("gt", "lq"):
            write_png(tmp_path / kind / f"frame.000{number}.png", np.full((4, 4, 3), number, np.uint8))
    meta = tmp_path / "meta_info.txt"
    meta.write_text("frame.0002\nframe.0001.png\n")
    options = {"dataroot_gt": f"{tmp_path}/gt", "dataroot_lq": f"{tmp_path}/lq"}
    assert PairedImageDataset(**options).keys == ["frame.0000", "frame.0001", "frame.0002"]
    chosen = PairedImageDataset(**options, meta_info_file=str(meta))
    assert chosen.keys == ["frame.0002", "frame.0001"]
    assert chosen[0]["gt"].max().item() == pytest.approx(2 / 255)


def test_file_name_templates_and_subfolders(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    for scene in ("a", "b"):
        write_png(tmp_path / f"gt/{scene}/1.png", image + ord(scene))
        write_png(tmp_path / f"lq/{scene}/1_blur.png", image + ord(scene))
    options = {"dataroot_gt": f"{tmp_path}/gt", "dataroot_lq": f"{tmp_path}/lq", "filename_tmpl": "{}_blur"}
    dataset = PairedImageDataset(**options)
    assert dataset.keys == ["a/1", "b/1"]
    assert torch.equal(dataset[1]["lq"], dataset[1]["gt"])


def test_missing_and_extra_files_are_named_on_each_side(paired_set):
    for number in range(3):
        (paired_set / f"input/photo_{number}.png").rename(paired_set / f"input/other_{number}.png")
    with pytest.raises(UserError) as error:
        labeled(paired_set)
    message = str(error.value)
    assert "input lacks 3" in message and "photo_0, photo_1, photo_2" in message
    assert "target lacks 3" in message and "other_0, other_1, other_2" in message
    assert "\n" not in message


@pytest.mark.parametrize(("count", "end"), [(10, ""), (11, ", ..")])
def test_ten_missing_names_are_a_whole_list(count: int, end: str):
    missing = [f"{number:02}" for number in range(count)]
    with pytest.raises(UserError) as error:
        require_same(missing, [], "left", "right")
    names = ", ".join(missing[:10])
    assert str(error.value) == f"files do not pair by name: right lacks {count} of left: {names}{end}"
    require_same(missing, missing[::-1], "left", "right")


def test_at_most_ten_names_are_listed(tmp_path):
    for number in range(30):
        write_png(tmp_path / f"gt/{number:02}.png", np.zeros((2, 2, 3), np.uint8))
    write_png(tmp_path / "lq/00.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError) as error:
        PairedImageDataset(dataroot_gt=f"{tmp_path}/gt", dataroot_lq=f"{tmp_path}/lq")
    assert "lacks 29" in str(error.value)
    assert ": 01, 02, 03, 04, 05, 06, 07, 08, 09, 10, .." in str(error.value)


def narrow(folder):
    write_png(folder / "input/photo_0.png", np.zeros((40, 47, 3), np.uint8))


def small_labels(folder):
    write_label_map(folder / "grouped_masks/photo_0.png", np.ones((9, 9), np.int32))


def truncated(folder):
    (folder / "input/photo_0.png").write_bytes((folder / "input/photo_1.png").read_bytes()[:-30])


def text(folder):
    (folder / "target/photo_0.png").write_text("hello")


def empty(folder):
    (folder / "target/photo_0.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (narrow, r"input/photo_0.png: lq has 47x40 .*48x40"),
        (small_labels, r"grouped_masks/photo_0.png: labels has 9x9"),
        (truncated, r"input/photo_0.png: not an image, or cut short"),
        (text, r"target/photo_0.png: not an image"),
        (empty, r"target/photo_0.png: not an image"),
    ],
)
def test_bad_files_are_one_line_that_names_them(paired_set, damage, message: str):
    damage(paired_set)
    with pytest.raises(UserError, match=message) as error:
        labeled(paired_set)[0]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("folder", ["input", "grouped_masks"])
def test_what_has_more_pixels_than_the_target_is_refused_before_it_is_decoded(paired_set, folder):
    """The pixels of the file are damaged, which nobody comes to see."""
    path = paired_set / folder / "photo_1.png"
    large = np.zeros((41, 48, 3), np.uint8) if folder == "input" else np.zeros((41, 48), np.uint16)
    write_png(path, large)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError) as told:
        labeled(paired_set)[1]
    output = "48 x 41 pixels are more than 1,920; it belongs to one of 48 x 40, make them the same size"
    assert str(told.value) == f"{path}: {output}"
