"""A field is whatever keeps its protocol: stored files, frames that a file chooses, masks of an epoch."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, default_collate

from basicsr.data.fields import Field, FramesField, StoredField, image_field, label_field, mask_field
from basicsr.data.paired import ImageDataset, PairedImageDataset, SampleIndex
from basicsr.utils.errors import UserError
from basicsr.utils.image import write_png
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit


def picture(clip: int, frame: int, height: int = 40, width: int = 48) -> NDArray[np.uint8]:
    """Red is the row, green the column, blue the number of clip and frame."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 4, columns * 4, np.full_like(rows, clip * 10 + frame)], -1).astype(np.uint8)


@pytest.fixture
def clips(tmp_path):
    """Three blurred images in clips/blur, and the frames 0 to 4 that each is made of in clips/sharp."""
    for clip in range(3):
        write_png(tmp_path / f"clips/blur/{clip}.png", picture(clip, 9))
        for frame in range(5):
            write_png(tmp_path / f"clips/sharp/{clip}_{frame}.png", picture(clip, frame))
    return tmp_path / "clips"


def frames(folder, chosen: dict[str, list[str]]) -> FramesField:
    return FramesField(image_field("gt", f"{folder}/sharp", "disk"), f"{folder}/clips.json", chosen)


CHOSEN = {"2": ["2_4", "2_2", "2_0"], "0": ["0_1", "0_2", "0_3"]}


@dataclass(kw_only=True, eq=False)
class Clips(ImageDataset):
    """Blurred images and three frames each; samples are those that a file names, in its order."""

    reference: ClassVar[str] = "lq"

    dataroot_lq: str

    def make_fields(self) -> list[Field]:
        gt = FramesField(image_field("gt", self.dataroot_gt, "disk"), "clips.json", CHOSEN)
        return [gt, image_field("lq", self.dataroot_lq, "disk")]


def clips_of(folder, **options) -> Clips:
    (folder / "names.txt").write_text("\n".join(CHOSEN))
    return Clips(
        dataroot_gt=f"{folder}/sharp",
        dataroot_lq=f"{folder}/blur",
        meta_info_file=f"{folder}/names.txt",
        **options,
    )


@dataclass(frozen=True)
class Stripes:
    """Label maps that are made, not stored: the stripes are as wide as the epoch says."""

    size: tuple[int, int]
    named: tuple[str, ...]
    name: str = "labels"
    root: str = "stripes"
    is_image: bool = False

    def keys(self) -> list[str]:
        return list(self.named)

    def load(self, key: str, epoch: int, limit: PixelLimit = OF_PHOTOS) -> NDArray[Any]:
        return np.broadcast_to(np.arange(self.size[1], dtype=np.int32) // (1 + epoch), self.size)

    def finish(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array.copy())

    def places(self, key: str) -> str:
        return f"stripes of {key}"


@dataclass(kw_only=True, eq=False)
class Striped(PairedImageDataset):
    """Pairs with `Stripes`."""

    width: int = 48

    def make_fields(self) -> list[Field]:
        pair = super().make_fields()
        return [*pair, Stripes((40, self.width), tuple(pair[0].keys()))]


def striped(folder, **options) -> Striped:
    return Striped(dataroot_gt=f"{folder}/target", dataroot_lq=f"{folder}/input", **options)


@pytest.mark.parametrize(
    ("make", "folder", "shape", "is_image"),
    [
        (image_field, "target", (3, 40, 48), True),
        (mask_field, "input_mask", (1, 40, 48), False),
        (label_field, "grouped_masks", (40, 48), False),
    ],
)
def test_a_stored_field_is_one_file_a_key(paired_set, make, folder: str, shape, is_image: bool):
    field: Field = make("name", f"{paired_set}/{folder}", "disk")
    assert isinstance(field, StoredField)
    assert (field.name, field.root, field.is_image) == ("name", f"{paired_set}/{folder}", is_image)
    assert field.keys() == [f"photo_{number}" for number in range(6)]
    assert field.places("photo_2") == f"{paired_set}/{folder}/photo_2.png"
    assert field.load("photo_2", 0).shape == field.finish(field.load("photo_2", 3)).shape == shape


def test_frames_are_stacked_in_the_order_in_which_they_were_chosen(clips):
    field: Field = frames(clips, CHOSEN)
    assert (field.name, field.root, field.is_image) == ("gt", f"{clips}/clips.json", True)
    assert field.keys() == ["2", "0"]
    array = field.load("2", 0)
    assert array.shape == (3, 3, 40, 48) and array.dtype == np.uint8
    assert array[:, 2, 0, 0].tolist() == [24, 22, 20]
    torch.testing.assert_close(field.finish(array), torch.from_numpy(array / np.float32(255)))
    assert field.places("2") == f"{clips}/sharp/2_4.png .. {clips}/sharp/2_0.png"
    assert frames(clips, {"0": ["0_1"]}).places("0") == f"{clips}/sharp/0_1.png"


def test_labels_can_be_frames_too(paired_set):
    frame = label_field("labels", f"{paired_set}/grouped_masks", "disk")
    field = FramesField(frame, "clips.json", {"a": ["photo_0", "photo_1"]})
    labels = field.finish(field.load("a", 0))
    assert labels.shape == (2, 40, 48) and labels.dtype == torch.int32 and not field.is_image


def test_missing_frames_are_named_before_training(clips):
    with pytest.raises(UserError, match=r"sharp lacks 2 of .*clips.json: 2_7, 2_8$"):
        frames(clips, {"2": ["2_0", "2_7", "2_8"]})
    with pytest.raises(UserError, match="clips.json: no frame is selected for '1'; leave it out"):
        frames(clips, {"0": ["0_1"], "1": []})


def test_names_of_frames_may_be_in_any_unicode_form(clips):
    (clips / "sharp/0_0.png").rename(clips / "sharp/caf\u00e9.png")
    field = frames(clips, {"0": ["cafe\u0301", "0_1"]})
    assert field.load("0", 0).shape == (2, 3, 40, 48)


def test_frames_that_cannot_be_stacked_are_named(clips):
    write_png(clips / "sharp/2_2.png", picture(2, 2, height=41))
    with pytest.raises(UserError, match=r"sharp/2_2.png: has 48x41 pixels of 8 bits.* '2' 48x40 pixels of 8"):
        frames(clips, CHOSEN).load("2", 0)
    write_png(clips / "sharp/2_2.png", picture(2, 2).astype(np.uint16))
    with pytest.raises(UserError, match=r"sharp/2_2.png: has 48x40 pixels of 16 bits.* of 8 bits; make them"):
        frames(clips, CHOSEN).load("2", 0)


def test_the_reference_gives_keys_sizes_and_pairing(clips):
    dataset = clips_of(clips)
    assert dataset.keys == ["2", "0"] and dataset.delivers == ("gt", "lq")
    assert dataset.places("0") == {
        "gt": f"{clips}/sharp/0_1.png .. {clips}/sharp/0_3.png",
        "lq": f"{clips}/blur/0.png",
    }
    write_png(clips / "blur/0.png", picture(0, 9, width=50))
    with pytest.raises(UserError, match=r"0_1.png .. .*0_3.png: gt has 48x40 pixels, lq 50x40; make them"):
        dataset[1]
    (clips / "names.txt").write_text("2\n1\n")
    with pytest.raises(UserError, match=r"clips.json lacks 1 of .*names.txt: 1$"):
        Clips(dataroot_gt=f"{clips}/sharp", dataroot_lq=f"{clips}/blur", meta_info_file=f"{clips}/names.txt")
    with pytest.raises(UserError, match=rf"clips.json lacks 1 of {clips}/blur: 1$"):
        Clips(dataroot_gt=f"{clips}/sharp", dataroot_lq=f"{clips}/blur")


def test_a_data_set_without_its_reference_is_a_mistake_of_its_author(clips):
    class Nameless(Clips):
        reference: ClassVar[str] = "blurred"

    with pytest.raises(KeyError, match="blurred"):
        Nameless(dataroot_gt=f"{clips}/sharp", dataroot_lq=f"{clips}/blur")


def test_all_frames_are_cropped_and_flipped_as_the_image(clips):
    dataset = clips_of(clips, gt_size=16, use_flip=True, use_rot=True, train=True)
    batch = default_collate([dataset[SampleIndex(number, 1)] for number in range(6)])
    assert batch["gt"].shape == (6, 3, 3, 16, 16) and batch["lq"].shape == (6, 3, 16, 16)
    for frame in range(3):
        assert torch.equal(batch["gt"][:, frame, :2], batch["lq"][:, :2])
    numbers = (batch["gt"][:, :, 2, 0, 0] * 255).round().int()
    assert numbers.tolist() == [[24, 22, 20], [1, 2, 3]] * 3


def test_mean_and_std_are_for_every_image_and_every_frame(clips):
    statistics = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 2.0)}
    plain, dataset = clips_of(clips)[0], clips_of(clips, **statistics)
    mean, std = (torch.tensor(values)[:, None, None] for values in statistics.values())
    sample = dataset[0]
    for name in ("gt", "lq"):
        torch.testing.assert_close(sample[name], (plain[name] - mean) / std)
        torch.testing.assert_close(dataset.denormalize(sample[name]), plain[name])


def test_a_field_may_depend_on_the_epoch(paired_set):
    dataset = striped(paired_set, mean=(0.5, 0.5, 0.5))
    assert dataset.delivers == ("gt", "lq", "labels")
    assert dataset.places("photo_1")["labels"] == "stripes of photo_1"
    for epoch in range(3):
        labels = dataset[SampleIndex(1, epoch)]["labels"]
        assert torch.equal(labels[0], torch.arange(48, dtype=torch.int32) // (1 + epoch))
    assert torch.equal(dataset[1]["labels"], dataset[SampleIndex(1, 0)]["labels"]), "evaluation is epoch 0"
    with pytest.raises(UserError, match="stripes of photo_0: labels has 9x40 pixels, gt 48x40"):
        striped(paired_set, width=9)[0]


def test_what_depends_on_the_epoch_stays_on_its_pixels_in_every_worker(paired_set):
    dataset = striped(paired_set, gt_size=20, use_flip=True, use_rot=True, train=True)
    order = [[SampleIndex(0, 0), SampleIndex(1, 0)], [SampleIndex(0, 2), SampleIndex(1, 2)]]
    for batch, which in zip(DataLoader(dataset, batch_sampler=order, num_workers=2), order, strict=True):
        columns = (batch["gt"][:, 1] * 255 / 4).round().int()
        assert torch.equal(batch["labels"], columns // (1 + which[0].epoch))


def test_fields_can_be_sent_to_workers(clips, paired_set):
    field = pickle.loads(pickle.dumps(frames(clips, CHOSEN)))
    assert np.array_equal(field.load("0", 0), frames(clips, CHOSEN).load("0", 0))
