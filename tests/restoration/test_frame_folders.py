"""Frames of videos as folders."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from basicsr.restoration.frame_folders import FrameExtraction, extract_frames
from basicsr.restoration.video import write_video
from basicsr.utils.errors import UserError

pytest.importorskip("av")


def _video(path: Path, count: int = 10) -> Path:
    """Frame n is gray of 20 * n, 48 x 64."""
    frames = np.stack([np.full((48, 64, 3), 20 * number % 256, np.uint8) for number in range(count)])
    write_video(path, frames, Fraction(25))
    return path


def test_every_nth_frame_comes_in_order_and_smaller(tmp_path: Path) -> None:
    _video(tmp_path / "videos" / "walk.mp4")
    counts = extract_frames(
        FrameExtraction([tmp_path / "videos"], tmp_path / "frames", height=24, every=3, limit=3)
    )
    folder = tmp_path / "frames" / "walk"
    assert counts == {folder: 3}
    assert sorted(path.name for path in folder.iterdir()) == ["00001.png", "00002.png", "00003.png"]
    for number in range(3):
        frame = cv2.imread(str(folder / f"{number + 1:05d}.png"))
        assert frame.shape == (24, 32, 3)
        assert np.abs(frame.mean() - 60 * number) <= 3  # 8-bit YUV and a lossy codec


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    video = _video(tmp_path / "walk.mp4")
    kept = tmp_path / "frames" / "walk" / "mine.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    assert extract_frames(FrameExtraction([video], tmp_path / "frames")) == {}
    assert [path.read_bytes() for path in kept.parent.iterdir()] == [b"mine"]


def test_a_video_that_is_cut_short_leaves_no_folder(tmp_path: Path) -> None:
    video = _video(tmp_path / "walk.mkv", count=200)
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"walk\.mkv"):
        extract_frames(FrameExtraction([video], tmp_path / "frames"))
    assert not list((tmp_path / "frames").glob("*"))


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    videos = [_video(tmp_path / folder / "walk.mp4", count=2) for folder in ("a", "b")]
    with pytest.raises(UserError, match=r"b/walk\.mp4.*a/walk\.mp4"):
        extract_frames(FrameExtraction(videos, tmp_path / "frames"))
