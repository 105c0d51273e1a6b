"""Restoring a video frame by frame: pictures are encoded again, sound and subtitles are copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np
from tqdm import tqdm

from basicsr.restoration.video_frames import BT709, SMPTE170M, FrameConversion, Picture
from basicsr.utils.display import shown
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.files import write_atomically
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer, OutputContainer
    from av.stream import Disposition, Stream

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv", ".flv",
)  # fmt: skip
"""What is read. The first five are written; the others cannot hold every frame rate and sound."""

_H264 = ("libx264", {"preset": "medium"})
_VP9 = ("libvpx-vp9", {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"})
_ENCODERS = {".mp4": _H264, ".m4v": _H264, ".mov": _H264, ".mkv": _H264, ".webm": _VP9}

_LIMITED = 1  # range of values, as in ITU-T H.273
_CLOCK = 1_000_000  # containers count their length in millionths of a second
_MISSING = 0.5  # seconds without packets at the end that make a file count as cut short
_GUESSED_RATE = Fraction(25)
# The default where a file, such as many AVIs, does not name its audio channels.
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
# Tags that describe the old file, not what it shows.
_OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}


@dataclass(frozen=True)
class VideoFacts:
    """What a video states about itself.

    Attributes:
        width, height: of the upright picture.
        rate: average frames per second, None if unknown.
        frames: count, from the container or from length and rate; None if unknown.
        seconds: length, None if unknown.
        has_audio: there is a sound track.
    """

    width: int
    height: int
    rate: Fraction | None
    frames: int | None
    seconds: float | None
    has_audio: bool


def video_facts(path: Path, limit: PixelLimit = OF_PHOTOS) -> VideoFacts:
    """Read the head and the first frame of a video.

    Args:
        limit: of the pixels of a frame.

    Raises:
        UserError: PyAV is missing, no such file, not a video, its first frame is broken, or it has more
            pixels than ``limit``.
    """
    av = _import_av()
    with _opened(av, path, limit) as container:
        video = _video_stream(container, path, limit)
        upright = FrameConversion(av, _first_frame(av, path, limit))
        seconds = container.duration / _CLOCK if container.duration else None
        frames = video.frames or None
        if frames is None and seconds and video.average_rate:
            frames = round(seconds * video.average_rate)
        has_audio = bool(container.streams.audio)
        return VideoFacts(upright.width, upright.height, video.average_rate, frames, seconds, has_audio)


def restore_video(
    source: Path,
    target: Path,
    restore: Callable[[Picture], Picture],
    *,
    crf: int = 16,
    overwrite: bool = False,
    progress: bool = True,
    times: int = 1,
    limit: PixelLimit = OF_PHOTOS,
) -> list[str]:
    """Restore each frame of a video; memory does not grow with its length.

    Frames keep their time stamps, also at a varying rate. Pictures become H.264 (VP9 in .webm) with 8 bits
    and 4:2:0 colors in the matrix and range of the source, upright; sound and subtitles are copied packet
    by packet. The file is written beside ``target`` and renamed at the end.

    Args:
        target: its suffix chooses the container: .mp4, .m4v, .mov, .mkv or .webm.
        restore: upright uint8 (H, W, 3) RGB -> the same size and type; with ``times`` (times, H, W, 3), which
            share the time of the frame.
        crf: constant rate factor of the encoder; smaller is better and larger in bytes.
        overwrite: replace an existing ``target``.
        progress: show a bar of frames with the remaining time.
        times: frames of the result for each of the source; more than 1 raises the frame rate.
        limit: of the pixels of a frame.

    Returns:
        What could not be kept, a phrase each.

    Raises:
        UserError: PyAV is missing, ``source`` is not a video, broken or cut short, or ``target`` exists or
            has an unknown suffix. Nothing is left under the name of ``target``.
    """
    av = _import_av()
    require_video_suffix(target)
    if target.exists() and not overwrite:
        raise UserError(f"{target}: exists already; choose another name or --overwrite")
    frames = video_facts(source, limit).frames
    notes: list[str] = []

    def write(temporary: Path) -> None:
        with (
            _opened(av, source, limit) as container,
            av.open(str(temporary), "w") as output,
            tqdm(desc=shown(source.name), total=frames, unit="frame", disable=not progress) as bar,
        ):
            video = _video_stream(container, source, limit)
            encoder = _FrameEncoder(av, output, target, video, _first_frame(av, source, limit), crf, times)
            copies, dropped = _copied_streams(av, container, output, video)
            _copy_tags(container, output)
            damaged = 0
            for frame, packet in _decoded(av, container, video, copies, source):
                if packet is not None:
                    packet.stream = copies[packet.stream.index]
                    output.mux(packet)
                if frame is not None:
                    damaged += frame.is_corrupt
                    encoder.write(frame, restore, source)
                    bar.update()
            encoder.finish()
        notes.extend([*encoder.notes, *(f"{name} dropped for {target.suffix}" for name in dropped)])
        if damaged:
            notes.append(f"frames damaged in the source: {damaged}")

    write_atomically(target, write)
    return notes


def video_pictures(path: Path, limit: PixelLimit = OF_PHOTOS) -> Iterator[Picture]:
    """The frames of a video, upright uint8 (H, W, 3) RGB, one at a time.

    Raises:
        UserError: as `video_facts`, or a frame is broken.
    """
    av = _import_av()
    conversion = FrameConversion(av, _first_frame(av, path, limit))
    with _opened(av, path, limit) as container:
        video = _video_stream(container, path, limit)
        for frame, _ in _decoded(av, container, video, {}, path):
            if frame is not None:
                yield conversion.to_rgb(frame)


def write_video(path: Path, frames: Picture, fps: Fraction, crf: int = 16) -> list[str]:
    """Write frames as a video without sound, beside ``path``, and rename it.

    Args:
        path: its suffix chooses the container, as in `restore_video`.
        frames: uint8 (T, H, W, 3) RGB; odd sides repeat their last row or column.
        fps: frames per second.
        crf: as in `restore_video`.

    Returns:
        What is not as in the frames, for notes.

    Raises:
        UserError: PyAV is missing, or an unknown suffix.
    """
    av = _import_av()
    require_video_suffix(path)
    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    name, options = _ENCODERS[path.suffix.lower()]

    def write(temporary: Path) -> None:
        with av.open(str(temporary), "w") as output:
            stream = cast(
                "VideoStream", output.add_stream(name, rate=fps, options={**options, "crf": str(crf)})
            )
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.colorspace = stream.color_primaries = stream.color_trc = BT709
            stream.color_range = _LIMITED
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
                encoded = picture.reformat(format="yuv420p", dst_colorspace=BT709)
                output.mux(stream.encode(encoded))
            output.mux(stream.encode())

    write_atomically(path, write)
    if not (height % 2 or width % 2):
        return []
    return [_evened(frames.shape[2], frames.shape[1], width, height)]


def _evened(width: int, height: int, known_width: int, known_height: int) -> str:
    size = f"{width} x {height} for {known_width} x {known_height}"
    return f"size {size}: H.264 needs even sides, the last row or column is repeated"


def require_video_suffix(target: Path) -> None:
    """Check that videos are written with the suffix of ``target``.

    Raises:
        UserError: they are not.
    """
    if target.suffix.lower() not in _ENCODERS:
        raise UserError(
            f"{target}: cannot write a video as '{target.suffix}'; use one of {', '.join(_ENCODERS)}"
        )


def written_video_suffix(suffix: str) -> str:
    """The suffix of the result for a video with ``suffix``: the same where it is written, else ``.mp4``."""
    return suffix if suffix.lower() in _ENCODERS else ".mp4"


class _FrameEncoder:
    """The video stream of the new file; its changes are added to ``notes``."""

    def __init__(
        self,
        av: ModuleType,
        output: OutputContainer,
        target: Path,
        video: VideoStream,
        first: VideoFrame,
        crf: int,
        times: int,
    ) -> None:
        self._conversion = FrameConversion(av, first)
        self._output = output
        self._stored_size = (first.width, first.height)
        self._count = 0
        self._last: int | None = None
        rate = (video.average_rate or _GUESSED_RATE) * times
        time_base = (video.time_base or times / rate) / times
        self._times = times
        self._step = max(round(1 / rate / time_base), 1)

        name, options = _ENCODERS[target.suffix.lower()]
        options = {**options, "crf": str(crf)}
        try:
            stream = cast("VideoStream", output.add_stream(name, rate=rate, options=options))
        except ValueError as error:
            raise UserError(f"{target}: this PyAV has no encoder {name}; write another container") from error
        width, height = self._conversion.width, self._conversion.height
        # H.264 with 4:2:0 colors has no odd sides, and few players show other colors.
        self._pad = (height % 2, width % 2) if name == "libx264" else (0, 0)
        stream.width, stream.height = width + self._pad[1], height + self._pad[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        matrix_of_rgb = BT709 if self._conversion.matrix == BT709 else SMPTE170M
        stream.colorspace = first.colorspace or matrix_of_rgb
        stream.color_range = first.color_range
        stream.color_primaries = first.color_primaries
        stream.color_trc = first.color_trc
        if video.sample_aspect_ratio:
            ratio = video.sample_aspect_ratio
            stream.sample_aspect_ratio = 1 / ratio if self._conversion.is_lying else ratio
        self._stream = stream
        self.notes = list(self._conversion.notes)
        if any(self._pad):
            self.notes.append(_evened(stream.width, stream.height, width, height))

    def write(self, frame: VideoFrame, restore: Callable[[Picture], Picture], source: Path) -> None:
        """Restore, encode and store one decoded frame."""
        self._count += 1
        if (frame.width, frame.height) != self._stored_size:
            raise UserError(
                f"{source}: the size changes at frame {self._count} to {frame.width} x {frame.height};"
                " cut the video there"
            )
        picture = self._conversion.to_rgb(frame)
        restored = restore(picture)
        pictures = restored[None] if restored.ndim == 3 else restored
        if pictures.shape != (self._times, *picture.shape) or pictures.dtype != np.uint8:
            wanted = f"{self._times} uint8 {picture.shape}"
            raise ValueError(f"restore gave {restored.dtype} {restored.shape}, expected {wanted}")
        begin = None if frame.pts is None else frame.pts * self._times
        for number, part in enumerate(pictures):
            if any(self._pad):
                part = np.pad(part, ((0, self._pad[0]), (0, self._pad[1]), (0, 0)), "edge")
            encoded = self._conversion.to_frame(part)
            wanted_time = None if begin is None else begin + number * self._step
            encoded.pts = self._last = self._time_behind_last(wanted_time)
            encoded.time_base = None if frame.time_base is None else frame.time_base / self._times
            self._output.mux(self._stream.encode(encoded))

    def finish(self) -> None:
        """Store what the encoder holds back."""
        self._output.mux(self._stream.encode())

    def _time_behind_last(self, wanted: int | None) -> int:
        """The time stamp; where it is missing or does not grow, after the last one."""
        if self._last is None:
            return wanted or 0
        return max(self._last + self._step if wanted is None else wanted, self._last + 1)


def _decoded(
    av: ModuleType,
    container: InputContainer,
    video: VideoStream,
    copies: dict[int, Stream],
    source: Path,
) -> Iterator[tuple[VideoFrame | None, Packet[Stream] | None]]:
    """A frame of ``video``, or a packet of a stream to be copied, in the order of the file."""
    count, end = 0, 0.0
    try:
        for packet in container.demux([video, *(container.streams[index] for index in copies)]):
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index == video.index:
                for frame in packet.decode():
                    count += 1
                    yield cast("VideoFrame", frame), None
            elif packet.dts is not None:  # none marks the end of the stream
                yield None, packet
    except av.FFmpegError as error:
        raise UserError(
            f"{source}: broken after frame {count} ({error.strerror}); replace the file"
        ) from error
    begin, length = (container.start_time or 0) / _CLOCK, (container.duration or 0) / _CLOCK
    # Matroska may count its length from 0, also where its time stamps begin later.
    reached = end if "matroska" in container.format.name else end - begin
    if reached < length - _MISSING:
        raise UserError(
            f"{source}: cut short after frame {count}, at {reached:.1f} of {length:.1f} seconds;"
            " replace the file"
        )


def _copied_streams(
    av: ModuleType, container: InputContainer, output: OutputContainer, video: VideoStream
) -> tuple[dict[int, Stream], list[str]]:
    """The new stream by the index of the old one, and the names of those that the container cannot hold."""
    copies: dict[int, Stream] = {}
    dropped = []
    for stream in container.streams:
        if stream.index == video.index:
            continue
        if stream.type not in ("audio", "subtitle"):
            dropped.append(f"{stream.type} stream")
            continue
        try:
            copy = output.add_stream_from_template(stream)
        except ValueError:
            dropped.append(f"{stream.type} in {stream.codec_context.name}")
            continue
        if isinstance(copy, av.AudioStream) and copy.layout.name.endswith(" channels"):
            copy.layout = _USUAL_LAYOUTS.get(copy.layout.nb_channels, copy.layout)  # .mp4 requires it
        copy.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})
        copy.disposition = cast("Disposition", stream.disposition.value)  # PyAV 17 takes only the number
        copies[stream.index] = copy
    return copies, dropped


def _copy_tags(container: InputContainer, output: OutputContainer) -> None:
    output.metadata.update({k: v for k, v in container.metadata.items() if k not in _OWN_TAGS})
    if container.chapters():
        output.set_chapters(container.chapters())


@contextmanager
def _opened(av: ModuleType, path: Path, limit: PixelLimit) -> Iterator[InputContainer]:
    try:
        # tags that are not text are ignored
        container = av.open(str(path), options=_most_pixels(limit), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{path}: not a video, or cut short ({error.strerror}); check the path") from error
    with container:
        yield container


def _video_stream(container: InputContainer, path: Path, limit: PixelLimit) -> VideoStream:
    """The first stream of moving pictures; covers are streams too."""
    for stream in container.streams.video:
        has_decoder = stream.codec_context is not None  # its type hint is wrong
        if has_decoder and not stream.disposition & stream.disposition.attached_pic:
            limit.check(stream.width or 1, stream.height or 1, str(path))  # 0 is unknown
            stream.thread_type = "AUTO"
            stream.codec_context.options = _most_pixels(limit)  # sizes may change within the stream
            return stream
    raise UserError(f"{path}: no video stream that can be decoded; check the file")


def _most_pixels(limit: PixelLimit) -> dict[str, str]:
    """The option that makes decoders of FFmpeg refuse larger frames."""
    return {"max_pixels": str(limit.most)}


def _first_frame(av: ModuleType, path: Path, limit: PixelLimit) -> VideoFrame:
    with _opened(av, path, limit) as container:
        try:
            for frame in container.decode(_video_stream(container, path, limit)):
                return frame
        except av.FFmpegError as error:
            raise UserError(f"{path}: broken at frame 1 ({error.strerror}); replace the file") from error
    raise UserError(f"{path}: no frame in its video stream; check the file")


def _import_av() -> ModuleType:
    return optional_import("av", "video", "pip install 'sam-deblur[video]'")
