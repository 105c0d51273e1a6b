"""Photos through a network that makes a clip of each: a folder of frames for a photo."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from basicsr.archs.base import RestorationNetwork
from basicsr.reporting.page import read_page
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.restoration.folder import REPORT, RestoreJob, restore_all
from basicsr.restoration.items import as_clips, find_items
from basicsr.restoration.video import video_facts, write_video
from basicsr.utils.errors import UserError
from basicsr.utils.image import read_rgb, write_png

av = pytest.importorskip("av", reason="PyAV (extra video) is not installed")


class Brighter(RestorationNetwork):
    """A clip whose frames are ever 4 levels brighter."""

    gives = "clip"

    def __init__(self, count: int = 3) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x + 4 * index / 255 for index in range(self.count)], 1)


PHOTO = np.random.default_rng(0).integers(60, 120, (20, 30, 3)).astype(np.uint8)


@pytest.fixture
def photos(tmp_path) -> Path:
    for name in ("a", "b"):
        write_png(tmp_path / "photos" / f"{name}.png", PHOTO)
    return tmp_path / "photos"


def restore(photos: Path, output: Path, count: int = 3, overwrite: bool = False) -> None:
    items = find_items([photos], output, True, overwrite)
    job = RestoreJob(output, is_folder=True, overwrite=overwrite)
    restore_all(items, job, Restorer(Brighter(count), RestoreOptions(device="cpu")), None)


def test_a_photo_becomes_a_folder_of_frames(photos, tmp_path):
    restore(photos, tmp_path / "out")
    written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png"))
    assert written == [Path(stem) / f"000{number}.png" for stem in "ab" for number in (1, 2, 3)]
    for index in range(3):
        frame = read_rgb(tmp_path / "out" / "a" / f"000{index + 1}.png")
        assert np.array_equal(frame, PHOTO + 4 * index)
    (shown,) = read_page(tmp_path / "out" / REPORT)["sets"]
    assert "3 frames; shown is the one in the middle" in shown["images"][0]["results"][0]["notes"]


def test_clips_that_are_there_are_kept_or_made_anew_and_nothing_is_deleted(photos, tmp_path, caplog):
    first = tmp_path / "out" / "a" / "0001.png"
    restore(photos, tmp_path / "out")
    write_png(first, PHOTO + 100)
    restore(photos, tmp_path / "out")
    assert np.array_equal(read_rgb(first), PHOTO + 100)
    with caplog.at_level("INFO", "basicsr"):
        restore(photos, tmp_path / "out", count=2, overwrite=True)
    assert np.array_equal(read_rgb(first), PHOTO)
    assert sorted(path.name for path in first.parent.iterdir()) == ["0001.png", "0002.png", "0003.png"]
    assert "0003.png and the following files are older and not part of this clip" in caplog.text


class Moving(RestorationNetwork):
    """A clip in which the photo moves by two pixels a frame, ever in the other direction."""

    gives = "clip"

    def __init__(self) -> None:
        super().__init__()
        self.sign = 1

    def forward(self, x: Tensor) -> Tensor:
        self.sign = -self.sign
        return torch.stack([x.roll(2 * self.sign * step, -1) for step in (-1, 0, 1)], 1)


def make_film(path: Path, count: int = 6) -> Path:
    """A video of a pattern that moves by six pixels a frame."""
    wide = np.random.default_rng(0).random((6, 30, 3))
    wide = np.kron(wide, np.ones((8, 8, 1)))
    frames = [255 * np.roll(wide, 6 * number, axis=1)[:, :96] for number in range(count)]
    write_video(path, np.stack(frames).astype(np.uint8), Fraction(10))
    return path


def read_film(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]


class TestVideo:
    def restore(self, tmp_path: Path, **options) -> Path:
        source = make_film(tmp_path / "film.mp4")
        target = tmp_path / "more.mp4"
        job = RestoreJob(target, is_folder=False, **options)
        restorer = Restorer(Moving(), RestoreOptions(device="cpu", guard="off"))
        restore_all(find_items([source], target, False), job, restorer, None)
        return target

    def test_it_becomes_one_of_so_many_times_the_frames(self, tmp_path):
        facts = video_facts(self.restore(tmp_path))
        assert (facts.frames, facts.rate) == (18, 30)
        assert facts.seconds == pytest.approx(0.6, abs=0.05)

    def test_directions_go_on_from_frame_to_frame(self, tmp_path):
        """Each frame moves as the film does, so every step of the result is 2 pixels to the right."""
        frames = read_film(self.restore(tmp_path))
        steps = []
        for one, other in pairwise(frames):
            errors = {by: np.abs(np.roll(one, by, 1)[:, 8:-8] - other[:, 8:-8]).mean() for by in (-2, 2)}
            steps.append(min(errors, key=errors.get))
        assert steps == [2] * 17

    def test_fewer_frames_may_be_chosen(self, tmp_path):
        assert video_facts(self.restore(tmp_path, frames=2)).frames == 12


class TestOneFile:
    def restore(self, photos: Path, target: Path, net: RestorationNetwork | None = None, **options) -> Path:
        job = RestoreJob(target, is_folder=False, **options)
        restorer = Restorer(net or Brighter(), RestoreOptions(device="cpu", guard="off"))
        restore_all(find_items([photos / "a.png"], target, False), job, restorer, None)
        return target

    def test_a_photo_becomes_a_video(self, photos, tmp_path):
        target = self.restore(photos, tmp_path / "clip.mp4", fps=5.0)
        facts = video_facts(target)
        assert (facts.frames, facts.rate, facts.width, facts.height) == (3, 5, 30, 20)
        first, _, last = read_film(target)
        assert last.mean() - first.mean() == pytest.approx(8, abs=1.5)

    @pytest.mark.parametrize("suffix", [".gif", ".webp"])
    def test_a_photo_becomes_a_picture_that_moves(self, photos, tmp_path, suffix: str):
        with Image.open(self.restore(photos, tmp_path / f"clip{suffix}", fps=5.0)) as picture:
            assert (picture.n_frames, picture.size, picture.info["loop"]) == (3, (30, 20), 0)
            picture.seek(2)
            last = np.asarray(picture.convert("RGB"), float)
            assert picture.info["duration"] == 200
        assert last.mean() == pytest.approx(PHOTO.mean() + 8, abs=1.5), "noise has no chance against either"

    def test_another_file_becomes_a_folder_of_its_name(self, photos, tmp_path):
        self.restore(photos, tmp_path / "clip.png", frames=2)
        assert [path.name for path in sorted((tmp_path / "clip").iterdir())] == ["0001.png", "0002.png"]

    def test_more_frames_than_the_network_makes_are_refused(self, photos, tmp_path):
        with pytest.raises(UserError, match="--frames 4: the network makes 3 frames of a photo"):
            self.restore(photos, tmp_path / "clip.gif", frames=4)

    def test_a_network_of_images_makes_no_clip(self, photos, tmp_path):
        class Same(RestorationNetwork):
            def forward(self, x: Tensor) -> Tensor:
                return x

        with pytest.raises(UserError, match=r"clip\.mp4: Same makes one frame of a photo, no clip"):
            self.restore(photos, tmp_path / "clip.mp4", Same())
        with pytest.raises(UserError, match="--frames 7: Same makes one frame of a photo"):
            self.restore(photos, tmp_path / "one.png", Same(), frames=7)
        assert self.restore(photos, tmp_path / "one.webp", Same()).is_file()


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_folder_restored_in_two_parts_has_a_report_of_all_its_photos(
    photos, tmp_path, monkeypatch, is_killed: bool
):
    """Also when the first part was killed before it could write one."""
    out = tmp_path / "out"

    def keys() -> list[str]:
        (shown,) = read_page(out / REPORT)["sets"]
        return [image["key"] for image in shown["images"]]

    with monkeypatch.context() as patched:
        run, done = Restorer.run, []

        def once(self: Restorer, *arguments: object) -> object:
            if done:
                raise KeyboardInterrupt
            done.append(True)
            return run(self, *arguments)

        patched.setattr(Restorer, "run", once)
        with pytest.raises(KeyboardInterrupt):
            restore(photos, out)
    assert keys() == ["a.png"]
    if is_killed:
        (out / REPORT).unlink()
    restore(photos, out)
    assert keys() == ["a.png", "b.png"]
    (out / REPORT).unlink()
    restore(photos, out)
    assert keys() == ["a.png", "b.png"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_ends_a_folder_at_its_first_photo(photos, tmp_path, monkeypatch, number: int):
    tried = []

    def write(path: Path, *_: object) -> None:
        tried.append(path)
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("basicsr.restoration.folder.write_photo_file", write)
    with pytest.raises(OSError, match=os.strerror(number)):
        restore(photos, tmp_path / "out")
    assert len(tried) == 1


def test_two_photos_do_not_share_a_folder(photos, tmp_path):
    (photos / "a.bmp").write_bytes(b"")
    items = find_items([photos], tmp_path / "out", True)
    with pytest.raises(UserError, match="both would become"):
        as_clips(items, is_folder=True)
