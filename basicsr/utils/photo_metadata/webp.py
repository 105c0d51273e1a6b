"""What a WebP carries: the chunks of its container specification (RIFF)."""

from __future__ import annotations

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

_EXIF = b"Exif\0\0"  # some writers put it before the block, as in JPEG
_SIDE = (1 << 14) - 1
_STRUCTURE = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}


def read_webp(data: bytes) -> Header:
    """Header of a WebP; what is damaged is left out and noted."""
    end = 8 + int.from_bytes(data[4:8], "little")
    chunks = list(_chunks(memoryview(data)[:end]))
    found = {key: payload for key, length, payload in reversed(chunks) if len(payload) == length}
    icc, notes = checked_profile(bytes(found[b"ICCP"]) if b"ICCP" in found else None)
    notes += [damaged(printable(key).strip()) for key, _, _ in chunks if key not in found]
    notes += behind_the_picture(data[end:])
    exif, kept = without_old_picture("WebP", bytes(found.get(b"EXIF", b"")).removeprefix(_EXIF))
    kept += stale("WebP", CREDENTIALS) if b"C2PA" in found else ()
    known = _STRUCTURE | {b"EXIF", b"ICCP", b"XMP ", b"C2PA"}
    kept += tuple(Chunk("WebP", Kind.UNKNOWN, printable(key).strip()) for key in found if key not in known)
    return Header(
        Metadata(
            exif=exif,
            icc=icc,
            xmp=bytes(found.get(b"XMP ", b"")) or None,
            resolution=exif_block.resolution(exif or b""),
            chunks=kept,
        ),
        more="an animation" if b"ANIM" in found else "",
        is_lossless=b"VP8L" in found,
        notes=tuple(notes),
    )


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header, of an animation those of its canvas.

    Raises:
        ValueError: there is none.
    """
    for key, _, payload in _chunks(memoryview(data)):
        if key == b"VP8X" and len(payload) >= 10:
            return 1 + int.from_bytes(payload[4:7], "little"), 1 + int.from_bytes(payload[7:10], "little")
        if key == b"VP8L" and len(payload) >= 5:
            bits = int.from_bytes(payload[1:5], "little")
            return 1 + (bits & _SIDE), 1 + (bits >> 14 & _SIDE)
        if key == b"VP8 " and len(payload) >= 10:
            width, height = struct.unpack_from("<HH", payload, 6)
            return width & _SIDE, height & _SIDE
    raise ValueError("no size")


def webp_limits(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What fits into a WebP, whose resolution is in its EXIF, and the names of what does not."""
    resolution = metadata.resolution
    if resolution is None or exif_block.resolution(metadata.exif or b"") == resolution:
        return metadata, []
    made = None if metadata.exif else exif_block.of_resolution(resolution)
    if made is None:  # an EXIF block of the photo stays unchanged
        return replace(metadata, resolution=None), [Kind.RESOLUTION.value]
    return replace(metadata, exif=made), []


def webp_with(encoded: memoryview, metadata: Metadata, width: int, height: int, has_alpha: bool) -> Pieces:
    """The pieces of a WebP of this size that carries ``metadata``, which fits (`webp_limits`)."""
    if not (metadata.exif or metadata.icc or metadata.xmp):
        return [encoded]
    flags = 0x10 * has_alpha
    pixels = [(key, payload) for key, _, payload in _chunks(encoded) if key != b"VP8X"]
    before: list[tuple[bytes, bytes | memoryview]] = []
    after: list[tuple[bytes, bytes | memoryview]] = []
    if metadata.icc:
        flags |= 0x20
        before.append((b"ICCP", metadata.icc))
    if metadata.exif:
        flags |= 0x08
        after.append((b"EXIF", metadata.exif))
    if metadata.xmp:
        flags |= 0x04
        after.append((b"XMP ", metadata.xmp))
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    pieces: Pieces = [b"WEBP"]
    for kind, payload in ((b"VP8X", struct.pack("<I", flags) + size), *before, *pixels, *after):
        pieces += [kind + struct.pack("<I", len(payload)), payload, bytes(len(payload) % 2)]
    return [b"RIFF" + struct.pack("<I", sum(map(len, pieces))), *pieces]


def _chunks(view: memoryview) -> Iterator[tuple[bytes, int, memoryview]]:
    """(name, length, payload), which is shorter where the file is cut."""
    position = 12
    while position + 8 <= len(view):
        kind, length = struct.unpack_from("<4sI", view, position)
        yield kind, length, view[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
