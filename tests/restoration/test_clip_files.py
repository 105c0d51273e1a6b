"""Which frames of a clip are taken, and what cannot be written."""

from __future__ import annotations

import numpy as np
import pytest

from basicsr.restoration.clip_files import chosen_frames, write_clip
from basicsr.restoration.video import video_facts
from basicsr.utils.errors import OptionError, UserError

FRAMES = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((7, 8, 10, 3), np.uint8)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5, 6]),
        (7, [0, 1, 2, 3, 4, 5, 6]),
        (4, [0, 2, 4, 6]),
        (3, [0, 3, 6]),
        (2, [0, 6]),
        (1, [3]),
    ],
)
def test_frames_are_taken_evenly_with_both_ends(count: int | None, expected: list[int]):
    assert chosen_frames(FRAMES, count)[:, 0, 0, 0].tolist() == expected


@pytest.mark.parametrize("count", [0, 8])
def test_other_numbers_are_refused(count: int):
    with pytest.raises(UserError, match=f"--frames {count}: the network makes 7 frames"):
        chosen_frames(FRAMES, count)


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(OptionError, match="--fps: expected above 0"):
        write_clip(tmp_path / "clip.gif", FRAMES, 0)
    with pytest.raises(UserError, match="cannot write a video as '.avi'"):
        write_clip(tmp_path / "clip.avi", FRAMES, 10)
    assert list(tmp_path.iterdir()) == []


def test_sides_of_videos_become_even_which_is_told(tmp_path):
    assert write_clip(tmp_path / "even.mp4", FRAMES, 10) == []
    (output,) = write_clip(tmp_path / "odd.mp4", FRAMES[:, :7, :9], 10)
    assert output.startswith("size 10 x 8 for 9 x 7: H.264 needs even sides")
    facts = video_facts(tmp_path / "odd.mp4")
    assert (facts.width, facts.height) == (10, 8)
    assert write_clip(tmp_path / "odd.gif", FRAMES[:, :7, :9], 10) == []
