"""Videos made by PyAV itself go through restoration and are read back."""

from __future__ import annotations

import runpy
import sys
import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from basicsr.restoration import video, video_frames
from basicsr.restoration.video import (
    VIDEO_SUFFIXES,
    restore_video,
    video_facts,
    video_pictures,
    written_video_suffix,
)
from basicsr.restoration.video_frames import FrameConversion
from basicsr.utils.errors import UserError
from basicsr.utils.pixel_limit import PixelLimit

av = pytest.importorskip("av", reason="PyAV (extra video) is not installed")

RATE = 25
SOUND = {".mp4": "aac", ".mov": "aac", ".mkv": "flac", ".webm": "libopus", ".m4v": "aac"}


def scene(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colors that move."""
    rows, columns = np.mgrid[:height, :width]
    bands = [rows * 4 + number, columns * 3 + 2 * number, 255 - 2 * rows - columns]
    return np.stack(bands, -1).clip(0, 255).astype(np.uint8)


def make_video(
    path: Path,
    pictures: list[np.ndarray],
    *,
    times: list[int] | None = None,
    sound: str | None = None,
    codec: str | None = None,
    pixels: str = "yuv420p",
    colors: dict[str, int] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """``times`` are in milliseconds; without, 25 frames a second."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", options=options or {}) as container:
        encoder = codec or ("libvpx-vp9" if path.suffix == ".webm" else "libx264")
        video = container.add_stream(encoder, rate=RATE, options={"crf": "4", "b": "0"})
        video.width, video.height, video.pix_fmt = width, height, pixels
        video.codec_context.time_base = Fraction(1, 1000)
        if aspect:
            video.sample_aspect_ratio = aspect
        for name, value in (colors or {}).items():
            setattr(video, name, value)
        if rotation:
            if not hasattr(av.VideoStream, "set_display_rotation"):
                pytest.skip("this PyAV cannot mark a video as turned")
            video.set_display_rotation(rotation)
        audio = container.add_stream(sound, rate=48000) if sound else None
        for number, picture in enumerate(pictures):
            matrix = {"dst_colorspace": (colors or {}).get("colorspace", 5)}
            matrix["dst_color_range"] = (colors or {}).get("color_range", 1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format=pixels, **matrix)
            frame.pts = times[number] if times else number * 1000 // RATE
            frame.time_base = Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio:
            count = len(pictures) * 48000 // RATE
            wave = (8000 * np.sin(np.arange(count) * 0.06)).astype(np.int16)
            samples = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
            samples.sample_rate, samples.pts = 48000, 0
            container.mux(audio.encode(samples))
            container.mux(audio.encode())
    return path


def frames_of(path: Path) -> list:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def pictures_of(path: Path, matrix: int = 5) -> np.ndarray:
    return np.stack([frame.to_ndarray(format="rgb24", src_colorspace=matrix) for frame in frames_of(path)])


def packets_of(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def run(source: Path, target: Path, restore=lambda picture: picture, **options) -> list[str]:
    return restore_video(source, target, restore, progress=False, **options)


@pytest.mark.parametrize("suffix", SOUND)
def test_three_seconds_keep_frames_times_sound_and_colors(tmp_path, suffix):
    pictures = [scene(number) for number in range(3 * RATE)]
    source = make_video(tmp_path / f"a{suffix}", pictures, sound=SOUND[suffix])
    target = tmp_path / "out" / f"b{suffix}"
    before = source.read_bytes()
    assert run(source, target) == []
    old, new = frames_of(source), frames_of(target)
    assert len(new) == len(old) == 75
    assert [frame.time for frame in new] == pytest.approx([frame.time for frame in old], abs=1e-3)
    facts, facts_before = video_facts(target), video_facts(source)
    assert facts.rate == facts_before.rate == RATE
    assert facts.seconds == pytest.approx(facts_before.seconds, abs=0.03)
    assert (facts.width, facts.height, facts.has_audio) == (64, 48, True)
    assert facts.frames == pytest.approx(
        75, abs=1 if suffix in (".webm", ".mkv") else 0
    )  # these store no count
    assert packets_of(target, "audio") == packets_of(source, "audio")
    assert len(packets_of(target, "audio")) > 20
    assert np.abs(pictures_of(target).astype(int) - pictures_of(source)).mean() < 1.5
    assert [item.name for item in target.parent.iterdir()] == [target.name]
    assert source.read_bytes() == before


def test_times_of_sound_stay(tmp_path):
    source = make_video(tmp_path / "a.mp4", [scene(number) for number in range(30)], sound="aac")
    run(source, tmp_path / "b.mp4")
    times = []
    for path in (source, tmp_path / "b.mp4"):
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(audio=0) if packet.size]
            times.append([float(packet.pts * packet.time_base) for packet in packets])
    assert times[0] == pytest.approx(times[1], abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_varying_frame_rate_keeps_each_time(tmp_path, suffix):
    times = [0, 40, 45, 200, 201, 500, 900, 930]
    source = make_video(tmp_path / f"a{suffix}", [scene(n) for n in range(len(times))], times=times)
    run(source, tmp_path / f"b{suffix}")
    assert [round(1000 * frame.time) for frame in frames_of(tmp_path / f"b{suffix}")] == times


def test_frames_of_one_time_are_told_apart_by_the_smallest_step(tmp_path):
    times = [0, 40, 40, 80]
    source = make_video(
        tmp_path / "a.mkv", [scene(n) for n in range(4)], times=times, codec="ffv1", pixels="bgr0"
    )
    assert [frame.pts for frame in frames_of(source)] == times
    run(source, tmp_path / "b.mkv")
    assert [frame.pts for frame in frames_of(tmp_path / "b.mkv")] == [0, 40, 41, 80]


def test_frames_without_time_stamps_follow_at_the_frame_rate(tmp_path):
    """A bare H.264 stream has none."""
    source = make_video(tmp_path / "a.h264", [scene(number) for number in range(8)])
    assert {frame.pts for frame in frames_of(source)} == {None}
    facts = video_facts(source)
    assert (facts.frames, facts.seconds, facts.has_audio) == (None, None, False)
    run(source, tmp_path / "b.mkv")
    stored = [frame.time for frame in frames_of(tmp_path / "b.mkv")]
    assert stored == pytest.approx([number / RATE for number in range(8)], abs=1e-3)


@pytest.mark.parametrize(
    ("colors", "matrix"),
    [
        ({}, 5),
        ({"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1}, 1),
        ({"colorspace": 6, "color_range": 1, "color_primaries": 6, "color_trc": 6}, 5),
        ({"colorspace": 5, "color_range": 2, "color_primaries": 5, "color_trc": 6}, 5),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_saturated_colors_are_seen_and_stored_right(tmp_path, colors, matrix, suffix):
    plain = [np.full((48, 64, 3), 0, np.uint8) for _ in range(6)]
    for number, picture in enumerate(plain):
        picture[..., number % 3] = 255
        picture[:8] = 255
    source = make_video(tmp_path / f"a{suffix}", plain, colors=colors)
    seen = []

    def look(picture: np.ndarray) -> np.ndarray:
        seen.append(picture.copy())
        return picture

    run(source, tmp_path / f"b{suffix}", look)
    stored = pictures_of(tmp_path / f"b{suffix}", matrix)
    inside = np.s_[:, 16:]
    assert np.abs(np.stack(seen).astype(int) - plain)[inside].max() <= 6
    assert np.abs(stored.astype(int) - plain)[inside].max() <= 8
    assert np.abs(stored.astype(int) - plain)[:, :4].mean() <= 4
    frame = frames_of(tmp_path / f"b{suffix}")[0]
    for name, value in colors.items():
        if suffix == ".mp4" or name in ("colorspace", "color_range"):
            assert getattr(frame, name) == value, name


def test_unnamed_matrix_is_that_of_high_definition_above_576_lines(tmp_path):
    green = np.zeros((720, 720, 3), np.uint8)
    green[..., 1] = 255
    seen = []
    for matrix, name in ((1, "hd"), (5, "sd")):
        picture = green if name == "hd" else green[:96, :96]
        source = tmp_path / f"{name}.mp4"
        with av.open(str(source), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=1)
            frame.colorspace = 2
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        assert frames_of(source)[0].colorspace == 2
        run(source, tmp_path / f"{name}_out.mp4", lambda picture: seen.append(picture) or picture)
        assert frames_of(tmp_path / f"{name}_out.mp4")[0].colorspace == 2
    for picture in seen:
        assert np.abs(picture.astype(int) - (0, 255, 0)).max() <= 6


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((720, 576), 5), ((576, 720), 5), ((1024, 576), 5), ((720, 577), 1), ((577, 720), 1), ((1920, 1080), 1)],
)
def test_lines_of_high_definition_are_counted_along_the_shorter_side(size: tuple[int, int], matrix: int):
    assert FrameConversion(av, av.VideoFrame(*size, "yuv420p")).matrix == matrix


@pytest.mark.parametrize(("size", "matrix"), [(96, 6), (720, 1)])
def test_a_video_in_rgb_gets_the_matrix_of_its_size_and_says_so(tmp_path, size: int, matrix: int):
    picture = scene(0, size, size)
    source = make_video(tmp_path / "a.mkv", [picture], codec="libx264rgb", pixels="rgb24")
    assert frames_of(source)[0].colorspace == 0
    run(source, tmp_path / "b.mp4")
    (frame,) = frames_of(tmp_path / "b.mp4")
    assert frame.colorspace == matrix
    stored = frame.to_ndarray(format="rgb24", src_colorspace=1 if matrix == 1 else 5)
    assert np.abs(stored.astype(int) - picture).mean() < 3


def test_restored_frames_are_what_is_stored(tmp_path):
    source = make_video(tmp_path / "a.mp4", [scene(number) for number in range(10)])
    run(source, tmp_path / "b.mp4", lambda picture: 255 - picture)
    assert np.abs(pictures_of(tmp_path / "b.mp4").astype(int) - (255 - pictures_of(source))).mean() < 3
    for crf, is_default in ((15, False), (16, True)):
        run(source, tmp_path / f"{crf}.mp4", lambda picture: 255 - picture, crf=crf)
        same = packets_of(tmp_path / f"{crf}.mp4", "video") == packets_of(tmp_path / "b.mp4", "video")
        assert same is is_default
    run(source, tmp_path / "c.mp4", lambda picture: 255 - picture, crf=45)
    assert (tmp_path / "c.mp4").stat().st_size < (tmp_path / "b.mp4").stat().st_size


def test_odd_size_is_padded_for_h264_and_kept_for_vp9(tmp_path):
    pictures = [scene(number, 47, 63) for number in range(8)]
    source = make_video(tmp_path / "a.mkv", pictures, codec="ffv1", pixels="bgr0")
    sizes = set()

    def look(picture: np.ndarray) -> np.ndarray:
        sizes.add(picture.shape)
        return picture

    (note,) = run(source, tmp_path / "b.mp4", look)
    assert note.startswith("size 64 x 48 for 63 x 47: ")
    assert sizes == {(47, 63, 3)}
    stored = pictures_of(tmp_path / "b.mp4").astype(int)
    assert stored.shape == (8, 48, 64, 3)
    assert np.abs(stored[:, :47, :63] - pictures).mean() < 2
    assert np.abs(stored[:, 47] - stored[:, 46]).mean() < 3
    assert run(source, tmp_path / "b.webm") == []
    assert pictures_of(tmp_path / "b.webm").shape == (8, 47, 63, 3)


@pytest.mark.parametrize(("height", "width"), [(47, 64), (48, 63)])
def test_one_odd_side_is_padded_alone_by_its_last_row_or_column(tmp_path, height: int, width: int):
    steep = scene(0, height, width)
    steep[:, -1] = 255  # what would be seen of a row or column from anywhere else
    steep[-1] = 255
    source = make_video(tmp_path / "a.mkv", [steep], codec="ffv1", pixels="bgr0")
    (note,) = run(source, tmp_path / "b.mp4", crf=1)
    assert note.startswith(f"size 64 x 48 for {width} x {height}: ")
    (stored,) = pictures_of(tmp_path / "b.mp4").astype(int)
    assert stored.shape == (48, 64, 3)
    added = stored[height:] if height % 2 else stored[:, width:]
    assert added.min() > 235, "white like the last row and column, and not one more"
    assert np.abs(stored[: height - 4, : width - 4] - steep[: height - 4, : width - 4]).mean() < 3


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_turned_phone_video_is_upright(tmp_path, rotation, turns):
    source = make_video(tmp_path / "a.mp4", [scene(number) for number in range(5)], rotation=rotation)
    assert frames_of(source)[0].rotation in (rotation, -180)
    seen = []

    def look(picture: np.ndarray) -> np.ndarray:
        seen.append(picture)
        return picture

    (note,) = run(source, tmp_path / "b.mp4", look)
    assert "upright" in note
    expected = np.rot90(scene(0), turns)
    assert np.abs(seen[0].astype(int) - expected).mean() < 3
    frame = frames_of(tmp_path / "b.mp4")[0]
    assert frame.rotation == 0
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - expected).mean() < 3
    assert (video_facts(source).width, video_facts(source).height) == expected.shape[1::-1]


@pytest.mark.parametrize(
    ("rotation", "expected"), [(0, Fraction(4, 3)), (180, Fraction(4, 3)), (90, Fraction(3, 4))]
)
def test_pixels_that_are_no_squares_keep_their_shape_and_lie_down_with_the_picture(
    tmp_path, rotation, expected
):
    pictures = [scene(number) for number in range(3)]
    source = make_video(tmp_path / "a.mp4", pictures, rotation=rotation, aspect=Fraction(4, 3))
    run(source, tmp_path / "b.mp4")
    for path, ratio in ((source, Fraction(4, 3)), (tmp_path / "b.mp4", expected)):
        with av.open(str(path)) as container:
            assert container.streams.video[0].sample_aspect_ratio == ratio


def test_frames_do_not_gather_however_long_the_video(tmp_path):
    most = {}
    for length in (20, 120):
        source = make_video(tmp_path / f"{length}.mp4", [scene(number % 50) for number in range(length)])
        alive: list[weakref.ref] = []
        counts = []

        def look(picture: np.ndarray, alive=alive, counts=counts) -> np.ndarray:
            restored = picture.copy()
            alive.extend([weakref.ref(picture), weakref.ref(restored)])
            counts.append(sum(reference() is not None for reference in alive))
            return restored

        run(source, tmp_path / f"{length}_out.mp4", look)
        assert len(counts) == length
        most[length] = max(counts)
    assert most[120] == most[20] <= 4


def test_sound_and_subtitles_that_fit_are_copied_and_others_named(tmp_path):
    source = make_video(tmp_path / "a.mp4", [scene(number) for number in range(10)], sound="aac")
    assert run(source, tmp_path / "b.mkv") == []
    assert packets_of(tmp_path / "b.mkv", "audio") == packets_of(source, "audio")
    assert run(source, tmp_path / "b.webm") == ["audio in aac dropped for .webm"]
    assert not video_facts(tmp_path / "b.webm").has_audio

    text = tmp_path / "words.srt"
    text.write_text("1\n00:00:00,040 --> 00:00:00,200\nhello\n\n2\n00:00:00,240 --> 00:00:00,360\nworld\n")
    with (
        av.open(str(source)) as film,
        av.open(str(text)) as words,
        av.open(str(tmp_path / "c.mkv"), "w") as out,
    ):
        pairs = [
            (old, out.add_stream_from_template(old, opaque=True))
            for old in (film.streams.video[0], words.streams.subtitles[0])
        ]
        pairs[1][1].metadata["language"] = "ger"
        for old, new in pairs:
            for packet in old.container.demux(old):
                if packet.dts is not None:
                    packet.stream = new
                    out.mux(packet)
    assert run(tmp_path / "c.mkv", tmp_path / "d.mkv") == []
    assert packets_of(tmp_path / "d.mkv", "subtitle") == packets_of(tmp_path / "c.mkv", "subtitle")
    assert packets_of(tmp_path / "d.mkv", "subtitle")[0].startswith(b"hello")
    with av.open(str(tmp_path / "d.mkv")) as container:
        assert container.streams.subtitles[0].language == "ger"


def put_together(path: Path, *sources: Path) -> Path:
    """The first stream of each file, as it is."""
    with av.open(str(path), "w") as new:
        for source in sources:
            with av.open(str(source)) as old:
                new.add_stream_from_template(old.streams[0], opaque=True)
        for stream, source in zip(list(new.streams), sources, strict=True):
            with av.open(str(source)) as old:
                for packet in old.demux(old.streams[0]):
                    if packet.size:
                        packet.stream = stream
                        new.mux(packet)
    return path


def make_sound(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        wave = (8000 * np.sin(np.arange(19200) * 0.06)).astype(np.int16)
        samples = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        samples.sample_rate, samples.pts = 48000, 0
        container.mux(stream.encode(samples))
        container.mux(stream.encode())
    return path


def test_a_sound_that_fits_is_copied_behind_one_that_does_not(tmp_path):
    picture = make_video(tmp_path / "a.mp4", [scene(number) for number in range(10)])
    sounds = [make_sound(tmp_path / f"{codec}.mkv", codec) for codec in ("aac", "libopus")]
    source = put_together(tmp_path / "both.mkv", picture, *sounds)
    assert run(source, tmp_path / "b.webm") == ["audio in aac dropped for .webm"]
    assert packets_of(tmp_path / "b.webm", "audio") == packets_of(sounds[1], "audio")


def test_a_cover_is_no_video_and_is_dropped(tmp_path):
    film = make_video(tmp_path / "a.mp4", [scene(number) for number in range(5)])
    source = tmp_path / "b.mp4"
    with av.open(str(film)) as old, av.open(str(source), "w") as new:
        moving = new.add_stream_from_template(old.streams.video[0], opaque=True)
        cover = new.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        picture = av.VideoFrame.from_ndarray(scene(0, 32, 32), format="rgb24")
        new.mux(cover.encode(picture.reformat(format="yuvj420p")))
        new.mux(cover.encode())
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = moving
                new.mux(packet)
    facts = video_facts(source)
    assert (facts.width, facts.height, facts.frames) == (64, 48, 5)
    assert run(source, tmp_path / "c.mp4") == ["video stream dropped for .mp4"]
    assert len(frames_of(tmp_path / "c.mp4")) == 5


def test_chapters_stay(tmp_path):
    source = put_together(tmp_path / "a.mkv", make_video(tmp_path / "a.mp4", [scene(n) for n in range(5)]))
    with av.open(str(source)) as old, av.open(str(tmp_path / "b.mkv"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        if not hasattr(new, "set_chapters"):
            pytest.skip("this PyAV writes no chapters")
        length = {"time_base": Fraction(1, 1000)}
        new.set_chapters([
            {"id": 1, "start": 0, "end": 80, "metadata": {"title": "one"}} | length,
            {"id": 2, "start": 80, "end": 200, "metadata": {"title": "two"}} | length,
        ])  # fmt: skip
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    run(tmp_path / "b.mkv", tmp_path / "c.mkv")
    with av.open(str(tmp_path / "c.mkv")) as container:
        chapters = container.chapters()
    assert [chapter["metadata"]["title"] for chapter in chapters] == ["one", "two"]
    assert [chapter["start"] * chapter["time_base"] for chapter in chapters] == [0, Fraction(80, 1000)]


def test_title_stays(tmp_path):
    source = make_video(tmp_path / "a.mp4", [scene(0)] * 3)
    with av.open(str(source)) as old, av.open(str(tmp_path / "b.mp4"), "w") as new:
        new.metadata["title"] = "summer"
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    run(tmp_path / "b.mp4", tmp_path / "c.mp4")
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert container.metadata["title"] == "summer"


def test_a_title_that_is_no_text_stops_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.metadata["title"] = "summer"
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for part in (av.VideoFrame.from_ndarray(scene(0), format="rgb24").reformat(format="yuv420p"), None):
            container.mux(video.encode(part))
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content.replace(b"summer", b"summ\xffr"))
    assert video_facts(tmp_path / "a.mkv").width == 64
    run(tmp_path / "a.mkv", tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert container.metadata["title"] == "summ\N{REPLACEMENT CHARACTER}r"


@pytest.mark.parametrize(("pixels", "message"), [
    ("yuv420p", []),
    ("rgb24", []),
    ("yuv420p9le", ["9 bits rounded to 8"]),
    ("yuv422p12le", ["12 bits rounded to 8"]),
])  # fmt: skip
def test_bits_that_are_lost_are_named(pixels: str, message: list[str]):
    assert FrameConversion(av, av.VideoFrame(16, 16, pixels)).notes == message


@pytest.mark.parametrize(
    ("curve", "is_named"), [(1, False), (14, False), (15, False), (16, True), (17, False), (18, True)]
)
def test_high_dynamic_range_is_named(curve: int, is_named: bool):
    """ITU-T H.273: curve 16 is PQ, 18 is HLG; 14 and 15 are those of BT.2020, which are as BT.709's."""
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.color_trc = curve
    notes = FrameConversion(av, frame).notes
    assert notes == (["high dynamic range in 8 bits shows steps in smooth areas"] if is_named else [])


def test_ten_bits_are_rounded_with_a_note(tmp_path):
    source = make_video(tmp_path / "a.mkv", [scene(n) for n in range(4)], codec="ffv1", pixels="yuv420p10le")
    assert run(source, tmp_path / "b.mkv") == ["10 bits rounded to 8"]
    assert np.abs(pictures_of(tmp_path / "b.mkv").astype(int) - pictures_of(source)).mean() < 2


@pytest.mark.parametrize(
    ("suffix", "options"), [(".mp4", {"movflags": "faststart"}), (".mkv", {}), (".webm", {})]
)
def test_cut_file_is_one_line_and_leaves_nothing(tmp_path, suffix, options):
    noise = np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3)).astype(np.uint8)
    source = make_video(tmp_path / f"a{suffix}", list(noise), options=options)
    cut = tmp_path / f"cut{suffix}"
    data = source.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    target = tmp_path / "out" / f"b{suffix}"
    with pytest.raises(UserError, match=rf"cut{suffix}: (cut short|broken) after frame \d+") as raised:
        run(cut, target)
    assert "\n" not in str(raised.value)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_video_whose_times_begin_late_is_whole_and_keeps_them(tmp_path, suffix: str):
    times = [5000 + 40 * number for number in range(30)]
    source = make_video(tmp_path / f"a{suffix}", [scene(n) for n in range(30)], times=times)
    run(source, tmp_path / f"b{suffix}")
    assert [round(1000 * frame.time) for frame in frames_of(tmp_path / f"b{suffix}")] == times


def test_of_a_cut_video_whose_times_begin_late_the_seconds_are_counted_from_its_beginning(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3)).astype(np.uint8)
    times = [5000 + 40 * number for number in range(50)]
    source = make_video(tmp_path / "a.mp4", list(noise), times=times, options={"movflags": "faststart"})
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(UserError, match=r"cut short after frame \d+, at [01]\.\d of 2\.0 seconds"):
        run(source, tmp_path / "b.mp4")


def test_an_error_in_restore_leaves_nothing_and_the_old_file(tmp_path):
    source = make_video(tmp_path / "a.mp4", [scene(number) for number in range(6)])
    target = tmp_path / "out" / "b.mp4"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(UserError, match="b.mp4: exists already"):
        run(source, target)
    with pytest.raises(ValueError, match="restore gave uint8"):
        run(source, target, lambda picture: picture[1:], overwrite=True)
    with pytest.raises(ValueError, match="restore gave float32"):
        run(source, target, lambda picture: picture.astype(np.float32), overwrite=True)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]
    run(source, target, overwrite=True)
    assert video_facts(target).frames == 6


def test_other_files_are_one_line_with_the_name(tmp_path):
    target = tmp_path / "b.mp4"
    with pytest.raises(UserError, match="none.mp4: not a video, or cut short"):
        run(tmp_path / "none.mp4", target)
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(UserError, match="text.mp4: not a video, or cut short"):
        video_facts(tmp_path / "text.mp4")
    source = make_video(tmp_path / "a.mp4", [scene(number) for number in range(6)], sound="aac")
    data = source.read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="half.mp4: not a video, or cut short"):
        run(tmp_path / "half.mp4", target)
    with pytest.raises(UserError, match="b.gif: cannot write a video as '.gif'; use one of .mp4"):
        run(source, tmp_path / "b.gif")
    with av.open(str(source)) as old, av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    with pytest.raises(UserError, match="sound.m4a: no video stream"):
        run(tmp_path / "sound.m4a", target)
    assert not target.exists()


def test_a_video_whose_size_changes_is_one_line(tmp_path):
    parts = [make_video(tmp_path / f"{s}.h264", [scene(n, s, s) for n in range(3)]) for s in (48, 32)]
    (tmp_path / "both.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(UserError, match="both.h264: the size changes at frame 4 to 32 x 32; cut the video"):
        run(tmp_path / "both.h264", tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_a_bar_counts_the_frames_where_it_is_wanted(tmp_path, capsys):
    source = make_video(tmp_path / "a.mp4", [scene(number) for number in range(6)])
    run(source, tmp_path / "b.mp4")
    assert capsys.readouterr().err == ""
    restore_video(source=source, target=tmp_path / "c.mp4", restore=lambda picture: picture)
    bar = capsys.readouterr().err
    assert "a.mp4: 100%" in bar and " 6/6 " in bar


def test_avi_is_read(tmp_path):
    source = make_video(
        tmp_path / "a.avi", [scene(number) for number in range(10)], codec="mjpeg", pixels="yuvj420p"
    )
    assert source.suffix in VIDEO_SUFFIXES
    assert [written_video_suffix(suffix) for suffix in (".avi", ".webm", ".MOV")] == [".mp4", ".webm", ".MOV"]
    run(source, tmp_path / "b.mkv")
    assert np.abs(pictures_of(tmp_path / "b.mkv").astype(int) - pictures_of(source)).mean() < 3
    with pytest.raises(UserError, match="cannot write a video as '.avi'"):
        run(source, tmp_path / "b.avi")


def make_old_video(path: Path, codec: str, samples: np.ndarray | None = None) -> Path:
    """A second of an old codec; ``samples`` int16 (1, 8000 * channels) are its sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE, options={"b": "4000000"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if samples is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[samples.size // 8000]
            sound = container.add_stream("pcm_s16le", rate=8000, layout=layout)
            frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
            frame.sample_rate = 8000
        for number in range(RATE):
            container.mux(video.encode(av.VideoFrame.from_ndarray(scene(number), "rgb24")))
        container.mux(video.encode())
        if samples is not None:
            container.mux(sound.encode(frame))
    return path


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".avi", "mpeg4"), (".mpg", "mpeg1video"), (".mpeg", "mpeg1video"), (".mts", "mpeg2video"),
     (".m2ts", "mpeg2video"), (".3gp", "mpeg4"), (".wmv", "wmv2"), (".flv", "flv")],
)  # fmt: skip
def test_what_is_only_read_becomes_mp4(tmp_path, suffix: str, codec: str):
    source = make_old_video(tmp_path / f"a{suffix}", codec)
    assert suffix in VIDEO_SUFFIXES and written_video_suffix(suffix) == ".mp4"
    run(source, tmp_path / "b.mp4")
    before, after = pictures_of(source).astype(int), pictures_of(tmp_path / "b.mp4")
    assert before.shape == after.shape == (RATE, 48, 64, 3)
    assert np.abs(after - before).mean() < 4


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1"), (8, "7.1")])
def test_sound_of_an_avi_that_names_no_channels_is_kept(tmp_path, channels: int, layout: str):
    samples = (np.sin(np.arange(8000 * channels) * 0.3) * 9000).astype(np.int16)[None]
    source = make_old_video(tmp_path / "a.avi", "mpeg4", samples)
    # 16 bits of each sample are used; then comes which channels there are, for more than two of them
    for named in (0x3F, 0x63F):
        named_bytes = b"\x10\x00" + named.to_bytes(4, "little")
        source.write_bytes(source.read_bytes().replace(named_bytes, b"\x10\x00" + bytes(4)))
    run(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        found = container.streams.audio[0].layout
        assert found.nb_channels == channels and (found.name == layout or channels == 1)
        kept = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.array_equal(kept, samples)


def test_a_video_may_have_the_longest_name(tmp_path):
    source = make_video(tmp_path / ("x" * 251 + ".mp4"), [scene(number) for number in range(3)])
    run(source, tmp_path / ("y" * 251 + ".mkv"))
    assert len(pictures_of(tmp_path / ("y" * 251 + ".mkv"))) == 3


def test_conversion_there_and_back_keeps_brightness():
    rgb = np.random.default_rng(0).normal(128, 12, (12, 16, 3)).clip(0, 255).astype(np.uint8)
    smooth = np.kron(rgb, np.ones((8, 8, 1), np.uint8))
    options = {"dst_colorspace": 1, "dst_color_range": 1}
    stored = av.VideoFrame.from_ndarray(smooth, format="rgb24").reformat(format="yuv420p", **options)
    conversion = FrameConversion(av, stored)
    again = conversion.to_frame(conversion.to_rgb(stored))
    change = again.to_ndarray().astype(int) - stored.to_ndarray()
    brightness, colors = change[:96], change[96:]
    assert abs(brightness.mean()) < 0.02 and np.abs(brightness).max() <= 1
    assert abs(colors.mean()) < 0.1


@pytest.mark.parametrize(
    ("matrix", "red", "blue"),
    [(1, 0.2126, 0.0722), (4, 0.30, 0.11), (5, 0.299, 0.114), (7, 0.212, 0.087), (9, 0.2627, 0.0593)],
)
def test_colors_are_those_of_the_matrix_that_the_video_names(matrix: int, red: float, blue: float):
    """ITU-T H.273: R = Y + 2 (1 - Kr) Cr, B = Y + 2 (1 - Kb) Cb, and Y = Kr R + (1 - Kr - Kb) G + Kb B."""
    for y, cb, cr in ((100, 30, 128), (126, 128, 220), (180, 150, 40), (90, 200, 100)):
        planes = np.concatenate([np.full(16 * 16, y), np.full(8 * 8, cb), np.full(8 * 8, cr)])
        stored = av.VideoFrame.from_ndarray(planes.astype(np.uint8).reshape(24, 16), format="yuv420p")
        stored.colorspace, stored.color_range = matrix, 1
        luma, u, v = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
        r, b = luma + 2 * (1 - red) * v, luma + 2 * (1 - blue) * u
        g = (luma - red * r - blue * b) / (1 - red - blue)
        expected = 255 * np.array([r, g, b]).clip(0, 1)
        seen = FrameConversion(av, stored).to_rgb(stored).reshape(-1, 3).astype(float)
        assert np.abs(seen - expected).max() < 0.75, "rounded"


def test_without_pyav_it_is_named_only_where_a_video_is_opened(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    names = runpy.run_path(video.__file__)
    assert names["written_video_suffix"](".avi") == ".mp4"
    assert "FrameConversion" in runpy.run_path(video_frames.__file__)
    with pytest.raises(UserError, match=r"sam-deblur\[video\]"):
        names["video_facts"](tmp_path / "a.mp4")


def test_frames_that_are_too_large_are_refused(tmp_path):
    source = make_video(tmp_path / "a.mp4", [scene(0)])
    limit = PixelLimit(48 * 64 - 1, "cut it")
    for read in (
        lambda: video_facts(source, limit),
        lambda: next(video_pictures(source, limit)),
        lambda: run(source, tmp_path / "b.mp4", limit=limit),
    ):
        with pytest.raises(UserError, match=f"^{source}: 64 x 48 pixels are more than 3,071; cut it$"):
            read()
    assert not (tmp_path / "b.mp4").exists()


def test_the_decoder_refuses_frames_that_grow_within_a_video(tmp_path):
    """By a stream that does not say its size."""
    large = make_video(tmp_path / "large.mp4", [scene(0)])
    with av.open(str(large), options=video._most_pixels(PixelLimit(100, ""))) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = video._most_pixels(PixelLimit(100, ""))
        with pytest.raises(av.FFmpegError):
            next(container.decode(stream))
