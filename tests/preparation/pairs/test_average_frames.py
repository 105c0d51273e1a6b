"""Pairs from folders of frames: which windows there are, what is written, and what a second run does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basicsr.preparation.pairs.average_frames import FrameJob, FrameWindows, find_clips, make_averaged_pairs
from basicsr.synthesis.frame_average import ResponseTable, average_frames
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.log import logger


def frame(number: int, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def clips(tmp_path) -> Path:
    """Clip ``a/b`` of 10 frames, clip ``c`` of frames 98 to 102 and 110 to 113 without leading zeros."""
    folder = tmp_path / "clips"
    for number in range(10):
        write_png(folder / "a" / "b" / f"{number:03d}.png", frame(number))
    for number in (*range(98, 103), *range(110, 114)):
        write_png(folder / "c" / f"{number}.png", frame(number))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_pairs_are_the_mean_and_the_middle_of_their_windows(clips, tmp_path):
    out = tmp_path / "out"
    count = make_averaged_pairs(FrameJob(clips, out, FrameWindows(4, 4), workers=1))
    assert (count.clips, count.made, count.kept) == (3, 4, 0)
    expected = {"a/b/000": range(4), "a/b/004": range(4, 8), "c/98": range(98, 102), "c/110": range(110, 114)}
    for key, numbers in expected.items():
        frames = [frame(number) for number in numbers]
        blurred = average_frames(frames, ResponseTable.from_gamma(2.2))
        np.testing.assert_array_equal(read_rgb(out / "input" / f"{key}.png"), blurred)
        np.testing.assert_array_equal(read_rgb(out / "target" / f"{key}.png"), frames[2])
    lines = [json.loads(line) for line in (out / "params.jsonl").read_text().splitlines()]
    assert [line["key"] for line in lines] == list(expected)
    wanted = {"n": 4, "first": "c/98.png", "last": "c/101.png", "target": "c/100.png"}
    assert lines[2] == {"key": "c/98", **wanted}


def test_windows_never_reach_over_a_gap(clips):
    found = find_clips(clips)
    assert {key: len(paths) for key, paths in found.items()} == {"a/b/000": 10, "c/98": 5, "c/110": 4}
    assert [path.stem for path in found["c/98"]] == ["98", "99", "100", "101", "102"]


def test_frames_of_every_second_number_are_consecutive(tmp_path):
    for number in (0, 2, 4, 6, 12, 14):
        write_png(tmp_path / f"take2_{number:04d}.png", frame(number))
    assert {key: len(paths) for key, paths in find_clips(tmp_path).items()} == {
        "take2_0000": 4,
        "take2_0012": 2,
    }


def test_names_without_numbers_are_one_clip(tmp_path):
    for name in ("first", "second", "third"):
        write_png(tmp_path / f"{name}.png", frame(0))
    assert [len(paths) for paths in find_clips(tmp_path).values()] == [3]


@settings(deadline=None)
@given(
    st.integers(1, 6),
    st.integers(0, 6),
    st.integers(0, 60),
    st.none() | st.integers(1, 9),
    st.integers(0, 99),
    st.booleans(),
)
def test_windows_lie_in_the_clip_and_follow_each_other(shortest, more, length, stride, seed, even):
    windows = FrameWindows(shortest, shortest + more, stride, seed, even)
    least = shortest if even or more == 0 or shortest % 2 else shortest + 1
    cut = list(windows.cut("clip", length))
    assert cut == list(windows.cut("clip", length)), "drawn from seed and clip alone"
    assert (cut == []) == (length < least)
    for number, (start, count) in enumerate(cut):
        assert shortest <= count <= shortest + more
        assert even or count % 2 or more == 0, "a middle frame, unless only one number is allowed"
        assert start + count <= length
        assert start == (number * stride if stride else sum(count for _, count in cut[:number]))
    if cut and stride is None:
        assert length - sum(cut[-1]) < least, "no window more would fit"


def test_lengths_are_drawn_from_all_of_the_range():
    windows = FrameWindows.parse("7..13")
    lengths = [count for _, count in windows.cut("clip", 4000)]
    assert set(lengths) == {7, 9, 11, 13}
    published = FrameWindows.parse("7..13", even=True)
    assert {count for _, count in published.cut("clip", 4000)} == set(range(7, 14))
    assert lengths != [count for _, count in windows.cut("other", 4000)]
    assert lengths != [count for _, count in FrameWindows.parse("7..13", seed=1).cut("clip", 4000)]


@pytest.mark.parametrize(
    ("windows", "warned"),
    [
        (FrameWindows(5, 5), None),
        (FrameWindows(4, 5), None),
        (FrameWindows(4, 4), "4"),
        (FrameWindows(3, 4, even=True), "4"),
    ],
)
def test_a_target_off_the_center_of_its_blur_is_said(clips, tmp_path, caplog, windows, warned):
    logger().propagate = True
    make_averaged_pairs(FrameJob(clips, tmp_path / "out", windows, workers=1))
    about = [message for message in caplog.messages if message.startswith("--n: ")]
    expected = f"--n: {warned} frames have no middle one, so the target lies half a frame after the center"
    assert [message[: len(expected)] for message in about] == ([] if warned is None else [expected])


def test_a_second_run_makes_only_what_is_missing(clips, tmp_path):
    out = tmp_path / "out"
    job = FrameJob(clips, out, FrameWindows(2, 4), workers=1)
    first = make_averaged_pairs(job)
    before = contents(out)
    (out / "input" / "a" / "b" / "000.png").unlink()
    kept = (out / "input" / "c" / "98.png").stat().st_mtime_ns
    second = make_averaged_pairs(job)
    assert (second.made, second.kept) == (1, first.made - 1)
    assert contents(out) == before
    assert (out / "input" / "c" / "98.png").stat().st_mtime_ns == kept


def test_the_number_of_workers_changes_nothing(clips, tmp_path):
    for workers in (1, 2):
        make_averaged_pairs(
            FrameJob(clips, tmp_path / str(workers), FrameWindows(2, 5, stride=1), workers=workers)
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_other_parameters_are_refused(clips, tmp_path):
    job = FrameJob(clips, tmp_path / "out", FrameWindows(4, 4), workers=1)
    make_averaged_pairs(job)
    np.save(tmp_path / "crf.npy", np.arange(256.0))
    for other in (
        FrameJob(clips, job.output, FrameWindows(4, 4), gamma=1.8, workers=1),
        FrameJob(clips, job.output, FrameWindows(3, 3), workers=1),
        FrameJob(clips, job.output, FrameWindows(4, 4), crf=tmp_path / "crf.npy", workers=1),
        FrameJob(clips, job.output, FrameWindows(4, 4), rounding="nearest", workers=1),
    ):
        with pytest.raises(UserError, match="manifest.json: made with other parameters"):
            make_averaged_pairs(other)


def test_broken_frames_are_named_when_all_others_are_done(clips, tmp_path):
    (clips / "a" / "b" / "002.png").write_bytes(b"")
    write_png(clips / "c" / "111.png", frame(0, (5, 8)))
    with pytest.raises(UserError) as caught:
        make_averaged_pairs(FrameJob(clips, tmp_path / "out", FrameWindows(4, 4), workers=1))
    assert "2 of 4" in str(caught.value)
    assert "002.png: not an image" in str(caught.value)
    assert "111.png: has 8x5 pixels, others 8x6" in str(caught.value)
    made = {name for name in contents(tmp_path / "out") if name.endswith(".png")}
    assert made == {f"{kind}/{key}.png" for kind in ("input", "target") for key in ("a/b/004", "c/98")}
    assert len((tmp_path / "out" / "params.jsonl").read_text().splitlines()) == 2


class TestRefused:
    def test_clips_that_are_too_short(self, clips, tmp_path):
        with pytest.raises(UserError, match="no 11 consecutive frames, the longest clip has 10"):
            make_averaged_pairs(FrameJob(clips, tmp_path / "out", FrameWindows(11, 12)))

    def test_an_output_among_the_frames(self, clips):
        with pytest.raises(UserError, match="lies in the input folder"):
            make_averaged_pairs(FrameJob(clips, clips / "out", FrameWindows(3, 3)))

    def test_frames_of_16_bits(self, tmp_path):
        write_png(tmp_path / "in" / "0.png", np.zeros((4, 4, 3), np.uint16))
        with pytest.raises(UserError, match="0.png: has 16 bits"):
            make_averaged_pairs(FrameJob(tmp_path / "in", tmp_path / "out", FrameWindows(1, 1), workers=1))

    @pytest.mark.parametrize("n", ["", "7..", "7-13", "0", "13..7", "x"])
    def test_numbers_of_frames(self, n):
        with pytest.raises(OptionError, match="^--n: expected"):
            FrameWindows.parse(n)

    def test_a_stride_of_nothing(self):
        with pytest.raises(OptionError, match="^--stride: expected 1 or more"):
            FrameWindows.parse("3", stride=0)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--n", "4"], 0, "3 clips, 4 pairs made, 0 there already"),
        (["--n", "4..x"], 2, "--n: expected a number"),
        (["--n", "4", "--crf", "nowhere.npy"], 1, "nowhere.npy: cannot be read"),
    ],
)
def test_the_command(clips, tmp_path, run_script, arguments, code, message):
    words = ("--frames", clips, "--out", tmp_path / "out", "--workers", 1, *arguments)
    result = run_script("data_preparation/average_frames.py", *words)
    assert result.returncode == code
    assert message in (result.stdout if code == 0 else result.stderr)
