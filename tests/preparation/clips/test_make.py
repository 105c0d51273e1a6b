"""Clips made of sharp frames, or found: what lies where, which partition, what a second run does."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from basicsr.data.clip_metadata import read_clip_metadata
from basicsr.data.clips import AveragedClipDataset, ClipDataset
from basicsr.preparation.clips.make import ClipJob, Shares, make_clips, scan_clips
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import read_rgb, write_png


def film(folder: Path, clips: int = 4, frames: int = 8) -> Path:
    generator = np.random.default_rng(0)
    for clip in range(clips):
        for number in range(frames):
            picture = generator.integers(0, 256, (16, 20, 3), np.uint8)
            write_png(folder / f"clip_{clip}" / f"{number:03d}.png", picture)
    return folder


@pytest.fixture
def job(tmp_path: Path) -> ClipJob:
    return ClipJob(film(tmp_path / "frames"), tmp_path / "set", count=3, gap=2, stride=3, workers=1)


def test_photos_are_means_of_light_and_frames_are_every_second_one(job):
    metadata = make_clips(job)
    assert (metadata.name, metadata.frames, len(metadata.clips)) == ("set", 3, 8)
    first = metadata.clips[1]
    assert first.id == "clip_0/0001" and first.blur == "clip_0/blur/0001.png"
    for place, source in zip(first.frames, (3, 5, 7), strict=True):
        assert np.array_equal(read_rgb(job.output / place), read_rgb(job.frames / f"clip_0/{source:03d}.png"))
    on_the_fly = AveragedClipDataset(dataroot_gt=str(job.frames), frames=3, gap=2, stride=3)
    lq = (255 * on_the_fly[1]["lq"]).round().permute(1, 2, 0).numpy()
    assert np.abs(read_rgb(job.output / first.blur) - lq).max() <= 1


def test_whole_clips_go_to_one_partition_and_the_data_set_reads_them(job):
    metadata = make_clips(job)
    by_clip = {clip.id.split("/")[0]: set() for clip in metadata.clips}
    for clip in metadata.clips:
        by_clip[clip.id.split("/")[0]].add(clip.partition)
    assert all(len(partitions) == 1 for partitions in by_clip.values())
    assert sorted(next(iter(found)) for found in by_clip.values()) == ["test", "train", "train", "val"]
    path = str(job.output / "metadata.json")
    sizes = [
        len(ClipDataset(dataroot_gt=str(job.output), metadata=path, partition=name))
        for name in ("train", "val", "test")
    ]
    assert sizes == [4, 2, 2]


def test_a_second_run_makes_what_is_missing_and_keeps_orders(job):
    make_clips(job)
    path = job.output / "metadata.json"
    content = json.loads(path.read_text())
    content["data"][0]["order"] = "reverse"
    path.write_text(json.dumps(content))
    blurred = job.output / content["data"][0]["blur_path"]
    before = blurred.read_bytes()
    blurred.unlink()
    again = make_clips(job)
    assert blurred.read_bytes() == before
    assert [clip.order for clip in again.clips] == ["reverse"] + ["ignore"] * 7
    with pytest.raises(UserError, match="made with other parameters"):
        make_clips(dataclasses.replace(job, gamma=1.0))


def test_folders_that_name_a_partition_decide_it(tmp_path):
    for name in ("train_sharp", "val_sharp"):
        film(tmp_path / "REDS" / name, clips=2, frames=3)
    job = ClipJob(tmp_path / "REDS", tmp_path / "set", count=3, workers=1)
    found = {clip.id: clip.partition for clip in make_clips(job).clips}
    assert found == {f"{name}_sharp/clip_{clip}/0000": name for name in ("train", "val") for clip in range(2)}


def test_a_folder_of_frames_alone_is_one_clip_of_its_name(tmp_path):
    film(tmp_path, clips=1, frames=4)
    (clip,) = make_clips(ClipJob(tmp_path / "clip_0", tmp_path / "set", count=4, workers=1)).clips
    assert (clip.id, clip.partition) == ("clip_0/0000", "train")


def test_shares_have_to_leave_some():
    with pytest.raises(OptionError, match="expected shares that leave some"):
        Shares(0.5, 0.5)
    dealt = list(Shares(0.2, 0.3).deal([f"clip_{number}" for number in range(10)]).values())
    assert [dealt.count(name) for name in ("train", "val", "test")] == [5, 2, 3]
    assert set(Shares(0, 0).deal(["a", "b", "c"]).values()) == {"train"}


def test_short_clips_and_wrong_numbers_are_refused(job):
    with pytest.raises(UserError, match="no clip has 13 consecutive frames"):
        make_clips(dataclasses.replace(job, count=7))
    with pytest.raises(OptionError, match="--gap: expected 1 or more"):
        dataclasses.replace(job, gap=0)


class TestScan:
    def test_a_download_of_that_layout_only_gets_its_file(self, job):
        made = make_clips(job)
        (job.output / "metadata.json").unlink()
        (job.output / "clip_0/bbox").mkdir()
        (job.output / "clip_0/bbox/0001.pkl").write_bytes(b"")
        before = sorted(path for path in job.output.rglob("*.png"))
        found = scan_clips(job.output)
        assert sorted(path for path in job.output.rglob("*.png")) == before
        boxes = [clip.box for clip in found.clips]
        assert boxes == [None, "clip_0/bbox/0001.pkl", *[None] * 6]
        plain = [dataclasses.replace(clip, box=None) for clip in found.clips]
        assert plain == list(made.clips)
        assert read_clip_metadata(job.output / "metadata.json") == found

    def test_clips_that_lack_frames_are_named(self, job):
        make_clips(job)
        (job.output / "clip_2/sharp/0000_2.png").unlink()
        with pytest.raises(UserError, match="clip_2/0000 has 2 frames, others 3"):
            scan_clips(job.output)

    def test_a_folder_of_another_layout_is_told(self, job):
        with pytest.raises(UserError, match="name an output folder to make clips"):
            scan_clips(job.frames)


def test_the_command_makes_and_scans(run_script, tmp_path):
    film(tmp_path / "frames", clips=3, frames=7)
    done = run_script("data_preparation/clips.py", tmp_path / "frames", tmp_path / "set", "--workers", 1)
    assert done.returncode == 0 and "1 train, 1 val, 1 test" in done.stdout + done.stderr
    (tmp_path / "set/metadata.json").unlink()
    assert run_script("data_preparation/clips.py", tmp_path / "set").returncode == 0
    assert (tmp_path / "set/metadata.json").is_file()
    assert run_script("data_preparation/clips.py", tmp_path / "nothing").returncode == 1
