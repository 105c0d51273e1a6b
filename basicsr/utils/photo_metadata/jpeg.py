"""What a JPEG carries: JFIF 1.02, Exif 2.32, ICC.1 annex B, XMP part 3 and Photoshop's image resources."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from basicsr.utils.photo_metadata import exif as exif_block
from basicsr.utils.photo_metadata.model import (
    CREDENTIALS,
    Chunk,
    Header,
    Kind,
    Metadata,
    Pieces,
    behind_the_picture,
    checked_profile,
    damaged,
    printable,
    stale,
    without_old_picture,
)
from basicsr.utils.photo_metadata.photoshop import iptc_resource, split_resources
from basicsr.utils.photo_metadata.resolution import CENTIMETER, INCH, Resolution

_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE
_APPS = range(0xE0, 0xF0)
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_ICC = b"ICC_PROFILE\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_JFIF, _JFXX, _MPF, _JUMBF, _ADOBE = b"JFIF\0", b"JFXX\0", b"MPF\0", b"JP", b"Adobe"
# Marker and first bytes of what is known; Adobe's states how colors are stored.
_KNOWN = (
    (0xE0, _JFIF), (0xE0, _JFXX), (0xE1, _EXIF), (0xE1, _XMP), (0xE1, _EXTENDED_XMP), (0xE2, _ICC),
    (0xE2, _MPF), (0xEB, _JUMBF), (0xED, _PHOTOSHOP), (0xEE, _ADOBE), (_COMMENT, b""),
)  # fmt: skip
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_SEGMENT = 0xFFFF - 2
_MOST_PROFILE_PARTS = 255
_UNITS = {1: INCH, 2: CENTIMETER}
_LARGEST_NUMBER = 0xFFFF


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """``(marker, start, end)`` of the segments of a JPEG up to the one that opens the first scan (0xDA)."""
    position, marker = 2, 0
    while marker != _SCAN and position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        yield marker, position + 4, end
        position = end


def read_jpeg(data: bytes) -> Header:
    """Header of a JPEG; what is damaged is left out and noted."""
    found: dict[bytes, list[bytes]] = {start: [] for _, start in _KNOWN}
    others: list[Chunk] = []
    components, scan = 3, len(data)
    for marker, start, end in jpeg_segments(data):
        payload = data[start:end]
        known = next((key for app, key in _KNOWN if app == marker and payload.startswith(key)), None)
        if known is not None:
            found[known].append(payload.removeprefix(known))
        elif marker in JPEG_FRAMES and len(payload) > 5:
            components = payload[5]
        elif marker in _APPS:
            name = f"APP{marker - _APPS.start} {printable(payload.partition(bytes(1))[0])}"
            others.append(Chunk("JPEG", Kind.UNKNOWN, name.strip()))
        elif marker == _SCAN:
            scan = end
    icc, notes = checked_profile(_profile(found[_ICC]))
    exif, old = without_old_picture("JPEG", next(iter(found[_EXIF]), None))
    iptc, photoshop, has_thumbnail, is_sound = split_resources(b"".join(found[_PHOTOSHOP]))
    old += (
        stale("JPEG", "JFIF thumbnail")
        if found[_JFXX] or any(any(part[7:9]) for part in found[_JFIF])
        else ()
    )
    old += stale("JPEG", "Photoshop thumbnail") if has_thumbnail else ()
    old += stale("JPEG", CREDENTIALS) if found[_JUMBF] else ()
    extended = [
        Chunk("JPEG", Kind.EXTENDED_XMP, Kind.EXTENDED_XMP.value, data=part) for part in found[_EXTENDED_XMP]
    ]
    notes += [] if is_sound else [damaged(Kind.PHOTOSHOP.value)]
    notes += [] if found[_MPF] else behind_the_picture(data[_end_of_picture(data, scan) :])
    return Header(
        Metadata(
            exif=exif,
            icc=icc,
            xmp=next(reversed(found[_XMP]), None),
            resolution=_resolution(found[_JFIF]) or exif_block.resolution(exif or b""),
            iptc=iptc,
            photoshop=photoshop,
            comments=tuple(found[b""]),
            chunks=(*extended, *others, *old),
        ),
        is_gray=components == 1,
        is_cmyk=components == 4,
        more="further pictures (MPO)" if found[_MPF] else "",
        notes=tuple(notes),
    )


def jpeg_orientation(data: bytes) -> int:
    """1 to 8 as in EXIF, the same as of `read_jpeg`, without a look at what follows the segments."""
    blocks = (data[start:end] for marker, start, end in jpeg_segments(data) if marker == 0xE1)
    exif = next((block for block in blocks if block.startswith(_EXIF)), b"")
    return exif_block.orientation(exif.removeprefix(_EXIF))


def jpeg_limits(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What fits into the segments of a JPEG, and the names of what does not."""
    comments = tuple(comment for comment in metadata.comments if len(comment) <= _SEGMENT)
    fits = {
        Kind.EXIF: len(metadata.exif or b"") <= _SEGMENT - len(_EXIF),
        Kind.ICC: len(metadata.icc or b"") <= _MOST_PROFILE_PARTS * (_SEGMENT - len(_ICC) - 2),
        Kind.XMP: len(metadata.xmp or b"") <= _SEGMENT - len(_XMP),
        Kind.RESOLUTION: metadata.resolution is None or _density(metadata.resolution) is not None,
        Kind.COMMENTS: comments == metadata.comments,
    }
    fitting = replace(
        metadata,
        exif=metadata.exif if fits[Kind.EXIF] else None,
        icc=metadata.icc if fits[Kind.ICC] else None,
        xmp=metadata.xmp if fits[Kind.XMP] else None,
        resolution=metadata.resolution if fits[Kind.RESOLUTION] else None,
        comments=comments,
    )
    return fitting, [kind.value for kind, does_fit in fits.items() if not does_fit]


def jpeg_with(encoded: memoryview, metadata: Metadata) -> Pieces:
    """The pieces of a JPEG that carries ``metadata``, which fits (`jpeg_limits`)."""
    segments = b""
    if metadata.exif:
        segments += _segment(0xE1, _EXIF + metadata.exif)
    if metadata.xmp:
        segments += _segment(0xE1, _XMP + metadata.xmp)
    for chunk in metadata.chunks:
        segments += _segment(0xE1, _EXTENDED_XMP + chunk.data)
    parts = _split(metadata.icc or b"", _SEGMENT - len(_ICC) - 2)
    for number, part in enumerate(parts, 1):
        segments += _segment(0xE2, _ICC + bytes([number, len(parts)]) + part)
    resources = (iptc_resource(metadata.iptc) if metadata.iptc else b"") + (metadata.photoshop or b"")
    for part in _split(resources, _SEGMENT - len(_PHOTOSHOP)):
        segments += _segment(0xED, _PHOTOSHOP + part)
    for comment in metadata.comments:
        segments += _segment(_COMMENT, comment)
    # JFIF requires its segment to be the first.
    behind_jfif = 2
    if bytes(encoded[2:4]) == b"\xff\xe0":
        behind_jfif += 2 + int.from_bytes(encoded[4:6], "big")
    return [encoded[:2], _jfif(metadata.resolution), segments, encoded[behind_jfif:]]


def _profile(parts: list[bytes]) -> bytes | None:
    """The profile of segments that begin with their number and count; empty where one is missing."""
    if not parts:
        return None
    ordered = sorted(parts)
    is_whole = [part[:2] for part in ordered] == [bytes([n, len(parts)]) for n in range(1, len(parts) + 1)]
    return b"".join(part[2:] for part in ordered) if is_whole else b""


def _end_of_picture(data: bytes, scan: int) -> int:
    """The position behind the end marker of the picture whose first scan begins at ``scan``."""
    position = scan
    while found := _MARKER_IN_SCAN.search(data, position):
        if data[found.start() + 1] == _END:
            return found.end()
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return len(data)


def _resolution(jfif: list[bytes]) -> Resolution | None:
    """From JFIF segments: version, unit, pixels across and down a unit."""
    if not jfif or len(jfif[0]) < 7:
        return None
    unit, across, down = struct.unpack_from(">BHH", jfif[0], 2)
    return Resolution.of(across, down, _UNITS.get(unit))


def _density(resolution: Resolution | None) -> bytes | None:
    """Unit, pixels across and down a unit of JFIF; None where the numbers are too large or too small."""
    if resolution is None or resolution.is_ratio:
        across, down = resolution.whole_ratio(_LARGEST_NUMBER) if resolution else (1, 1)
        return struct.pack(">BHH", 0, across, down)
    for unit in sorted(_UNITS, key=lambda unit: resolution.rounding(_UNITS[unit])):
        whole = resolution.whole(_UNITS[unit], _LARGEST_NUMBER)
        if whole:
            return struct.pack(">BHH", unit, *whole)
    return None


def _jfif(resolution: Resolution | None) -> bytes:
    """A JFIF 1.02 segment without thumbnail."""
    return _segment(0xE0, _JFIF + b"\1\2" + (_density(resolution) or b"") + b"\0\0")


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def _split(data: bytes, length: int) -> list[bytes]:
    return [data[start : start + length] for start in range(0, len(data), length)]
