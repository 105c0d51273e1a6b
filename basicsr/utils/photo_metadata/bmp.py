"""What a BMP carries: the resolution in its header, and the colors in versions 4 and 5 of that."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import NamedTuple

from basicsr.utils.photo_metadata.model import Chunk, Header, Kind, Metadata, Pieces, checked_profile
from basicsr.utils.photo_metadata.resolution import METER, Resolution

_HEADER = 14  # of the file; that of the picture follows, which begins with its length
_INFO, _VERSION_4, _VERSION_5 = 40, 108, 124
_RESOLUTION, _COLOR_SPACE, _CALIBRATION, _PROFILE = _HEADER + 24, _HEADER + 56, _HEADER + 60, _HEADER + 112
_EMBEDDED, _LINKED, _CALIBRATED = 0x4D424544, 0x4C494E4B, 0
_LARGEST_NUMBER = 2**31 - 1
_OLDEST = 12  # bytes of the header of OS/2
_RUN_LENGTHS = (1, 2)  # compressions


class Layout(NamedTuple):
    """What the header states about the pixels; ``is_packed`` if they may be compressed."""

    width: int
    height: int
    bits: int
    is_packed: bool


def bmp_layout(data: bytes) -> Layout:
    """How the pixels lie in a BMP.

    Raises:
        struct.error: it is cut short.
    """
    if int.from_bytes(data[_HEADER : _HEADER + 4], "little") == _OLDEST:
        width, height, _, bits = struct.unpack_from("<4H", data, _HEADER + 4)
        return Layout(width, height, bits, False)
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, _HEADER + 4)
    return Layout(abs(width), abs(height), bits, compression in _RUN_LENGTHS)


def read_bmp(data: bytes) -> Header:
    """Header of a BMP; what is damaged is left out and noted."""
    length = int.from_bytes(data[_HEADER : _HEADER + 4], "little")
    if length < _INFO or len(data) < _HEADER + length:
        return Header(Metadata())
    across, down = struct.unpack_from("<ii", data, _RESOLUTION)
    icc, notes = None, list[str]()
    chunks: tuple[Chunk, ...] = ()
    if length >= _VERSION_4:
        (space,) = struct.unpack_from("<I", data, _COLOR_SPACE)
        if space == _CALIBRATED and any(data[_CALIBRATION : _HEADER + _VERSION_4]):
            chunks = (Chunk("BMP", Kind.COLORS, "calibrated RGB"),)
        elif space == _LINKED:
            chunks = (Chunk("BMP", Kind.COLORS, "linked profile"),)
        elif space == _EMBEDDED and length >= _VERSION_5:
            start, size = struct.unpack_from("<II", data, _PROFILE)
            icc, notes = checked_profile(data[_HEADER + start : _HEADER + start + size])
    resolution = Resolution.of(across, down, METER)
    return Header(Metadata(icc=icc, resolution=resolution, chunks=chunks), notes=tuple(notes))


def bmp_limits(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What fits into the header of a BMP, and the names of what does not."""
    if metadata.resolution and _pixels_per_meter(metadata.resolution) is None:
        return replace(metadata, resolution=None), [Kind.RESOLUTION.value]
    return metadata, []


def bmp_with(encoded: memoryview, metadata: Metadata) -> Pieces:
    """The pieces of a BMP that carries ``metadata``, which fits (`bmp_limits`)."""
    density = _pixels_per_meter(metadata.resolution) if metadata.resolution else None
    if density is None:
        return [encoded]
    return [encoded[:_RESOLUTION], struct.pack("<ii", *density), encoded[_RESOLUTION + 8 :]]


def _pixels_per_meter(resolution: Resolution) -> tuple[int, int] | None:
    return None if resolution.is_ratio else resolution.whole(METER, _LARGEST_NUMBER)
