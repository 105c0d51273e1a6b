"""EXIF, colour profile and XMP of encoded photos: found in their bytes, and put into others unchanged.

Layouts: PNG third edition (eXIf, iCCP, iTXt), Exif 2.32 and ICC.1 annex B (JPEG segments), the WebP container
specification (RIFF chunks), TIFF 6.0 with the tags of Exif.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image

Pieces = list[bytes | memoryview]

_EXIF = b"Exif\0\0"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_ICC = b"ICC_PROFILE\0"
_PNG_XMP = b"XML:com.adobe.xmp\0"
_SEGMENT = 0xFFFF - 2
_ICC_PART = _SEGMENT - len(_JPEG_ICC) - 2
_ORIENTATION = 0x0112
_TIFF_HEAD = 8

TIFF_ICC, TIFF_XMP, TIFF_EXTRA_SAMPLES = 34675, 700, 338
# What a TIFF says of the photo; its other tags say how the pixels lie in the file.
_TIFF_SAYS = {
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Orientation,
    ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright, ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords, ExifTags.Base.XPSubject, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo,
}  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """What a photo says of itself; None where it says nothing.

    Attributes:
        exif: the TIFF structure, from its byte order on.
        icc: colour profile.
        xmp: XMP packet.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None

    @property
    def orientation(self) -> int:
        """1 to 8 as in EXIF; 1, upright, where it is absent or unreadable."""
        exif = self.exif or b""
        order = {b"II": "<", b"MM": ">"}.get(exif[:2])
        if order is None:
            return 1
        try:
            (first,) = struct.unpack_from(order + "I", exif, 4)
            (count,) = struct.unpack_from(order + "H", exif, first)
            for number in range(count):
                tag, _, _, value = struct.unpack_from(order + "HHIH", exif, first + 2 + 12 * number)
                if tag == _ORIENTATION:
                    return value if 1 <= value <= 8 else 1
        except struct.error:
            pass
        return 1


@dataclass(frozen=True)
class Header:
    """What the bytes around the pixels tell.

    Attributes:
        metadata: EXIF, profile and XMP.
        is_grey: one colour channel is stored (not always told by decoded pixels); always False for WebP.
        is_cmyk: the pixels are inks.
        more: further pictures in the file, in words; empty without.
        is_lossless: a WebP that lost nothing.
    """

    metadata: Metadata
    is_grey: bool = False
    is_cmyk: bool = False
    more: str = ""
    is_lossless: bool = False


def read_png(data: bytes) -> Header:
    """Header of a PNG; what is damaged counts as absent."""
    found: dict[bytes, bytes] = {}
    for kind, payload in _png_chunks(data):
        if kind in (b"IHDR", b"eXIf", b"iCCP", b"acTL") or (kind == b"iTXt" and payload[:18] == _PNG_XMP):
            found.setdefault(kind, bytes(payload))
    return Header(
        Metadata(
            exif=found.get(b"eXIf"),
            icc=_inflated(found.get(b"iCCP", b"").partition(b"\0")[2][1:]),
            xmp=_png_text(found.get(b"iTXt", b"")),
        ),
        is_grey=found.get(b"IHDR", bytes(13))[9:10] in (b"\0", b"\4"),
        more="an animation" if b"acTL" in found else "",
    )


def png_with(encoded: memoryview, metadata: Metadata) -> Pieces:
    """The pieces of a PNG that carries ``metadata``."""
    chunks = b""
    if metadata.icc:
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.exif:
        chunks += _png_chunk(b"eXIf", metadata.exif)
    if metadata.xmp:
        chunks += _png_chunk(b"iTXt", _PNG_XMP + bytes(4) + metadata.xmp)
    behind_header = 8 + 12 + 13
    return [encoded[:behind_header], chunks, encoded[behind_header:]]


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """``(marker, start, end)`` of the segments of a JPEG up to the one that opens the first scan (0xDA)."""
    position, marker = 2, 0
    while marker != 0xDA and position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        yield marker, position + 4, end
        position = end


def read_jpeg(data: bytes) -> Header:
    """Header of a JPEG; what is damaged counts as absent."""
    exif = xmp = None
    profile: dict[int, bytes] = {}
    components, more = 3, ""
    for marker, start, end in jpeg_segments(data):
        payload = data[start:end]
        if marker == 0xE1 and payload.startswith(_EXIF) and exif is None:
            exif = payload.removeprefix(_EXIF)
        elif marker == 0xE1 and payload.startswith(_JPEG_XMP):
            xmp = payload.removeprefix(_JPEG_XMP)
        elif marker == 0xE2 and payload.startswith(_JPEG_ICC):
            profile[payload[len(_JPEG_ICC)]] = payload[len(_JPEG_ICC) + 2 :]
        elif marker == 0xE2 and payload.startswith(b"MPF\0"):
            more = "further pictures (MPO)"
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(payload) > 5:
            components = payload[5]
    icc = b"".join(part for _, part in sorted(profile.items()))
    return Header(Metadata(exif, icc or None, xmp), components == 1, components == 4, more)


def jpeg_limits(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What fits into the segments of a JPEG, and the names of what does not."""
    exif_fits = len(metadata.exif or b"") <= _SEGMENT - len(_EXIF)
    xmp_fits = len(metadata.xmp or b"") <= _SEGMENT - len(_JPEG_XMP)
    fitting = Metadata(metadata.exif if exif_fits else None, metadata.icc, metadata.xmp if xmp_fits else None)
    return fitting, [name for name, fits in (("EXIF", exif_fits), ("XMP", xmp_fits)) if not fits]


def jpeg_with(encoded: memoryview, metadata: Metadata) -> Pieces:
    """The pieces of a JPEG that carries ``metadata``, which fits (`jpeg_limits`)."""
    segments = b""
    if metadata.exif:
        segments += _jpeg_segment(0xE1, _EXIF + metadata.exif)
    if metadata.xmp:
        segments += _jpeg_segment(0xE1, _JPEG_XMP + metadata.xmp)
    icc = metadata.icc or b""
    parts = [icc[start : start + _ICC_PART] for start in range(0, len(icc), _ICC_PART)]
    for number, part in enumerate(parts, 1):
        segments += _jpeg_segment(0xE2, _JPEG_ICC + bytes([number, len(parts)]) + part)
    # JFIF wants its segment to be the first.
    behind_jfif = 2
    if bytes(encoded[2:4]) == b"\xff\xe0":
        behind_jfif += 2 + int.from_bytes(encoded[4:6], "big")
    return [encoded[:behind_jfif], segments, encoded[behind_jfif:]]


def read_webp(data: bytes) -> Header:
    """Header of a WebP; what is damaged counts as absent."""
    found = dict(reversed([(kind, payload) for kind, payload in _webp_chunks(memoryview(data))]))
    exif, icc, xmp = (bytes(found.get(kind, b"")) for kind in (b"EXIF", b"ICCP", b"XMP "))
    return Header(
        Metadata(exif.removeprefix(_EXIF) or None, icc or None, xmp or None),
        more="an animation" if b"ANIM" in found else "",
        is_lossless=b"VP8L" in found,
    )


def webp_with(encoded: memoryview, metadata: Metadata, width: int, height: int, has_alpha: bool) -> Pieces:
    """The pieces of a WebP of this size that carries ``metadata``."""
    if metadata == Metadata():
        return [encoded]
    flags = 0x10 * has_alpha
    pixels = [chunk for chunk in _webp_chunks(encoded) if chunk[0] != b"VP8X"]
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


def read_tiff_tags(data: bytes) -> Image.Exif:
    """All tags of the first page of a TIFF, or of EXIF, which is built as one; none if they are damaged."""
    tags = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the decoder will say that the file is cut short
            tags.load_from_fp(io.BytesIO(data))
            dict(tags)
            for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.IFD1):
                tags.get_ifd(directory)
    except (SyntaxError, struct.error, ValueError, TypeError, KeyError, OSError):
        return Image.Exif()
    return tags


def read_tiff(tags: Image.Exif) -> Header:
    """Header of a TIFF from `read_tiff_tags`."""
    said = _what_tiff_says(tags)
    return Header(
        Metadata(said.tobytes()[len(_EXIF) :] if said else None, tags.get(TIFF_ICC), tags.get(TIFF_XMP)),
        is_grey=tags.get(ExifTags.Base.PhotometricInterpretation) in (0, 1),
        is_cmyk=tags.get(ExifTags.Base.PhotometricInterpretation) == 5,
        more="further pages" if tags.get_ifd(ExifTags.IFD.IFD1) else "",
    )


def tiff_limits(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What can be said in the tags of a TIFF, and the names of what cannot."""
    exif = read_tiff(read_tiff_tags(metadata.exif)).metadata.exif if metadata.exif else None
    return Metadata(exif, metadata.icc, metadata.xmp), ["EXIF"] if metadata.exif and not exif else []


def tiff_with(encoded: memoryview, metadata: Metadata, has_alpha: bool) -> Pieces:
    """The pieces of a little-endian TIFF that carries ``metadata``: a new directory before the old file."""
    tags = Image.Exif()
    tags.load_from_fp(io.BytesIO(encoded))
    merged = Image.Exif()
    merged.endian = "<"
    for tag in tags:
        merged[tag] = tags[tag]
    if metadata.exif:
        said = _what_tiff_says(read_tiff_tags(metadata.exif))
        for tag in said:
            merged[tag] = said[tag]
    if metadata.icc:
        merged[TIFF_ICC] = metadata.icc
    if metadata.xmp:
        merged[TIFF_XMP] = metadata.xmp
    if has_alpha:
        merged[TIFF_EXTRA_SAMPLES] = 2  # straight alpha
    # Pillow counts these from the end of the directory, where the old file follows without its first 8 bytes.
    offsets = np.atleast_1d(tags[ExifTags.Base.StripOffsets])
    merged[ExifTags.Base.StripOffsets] = tuple(int(offset) - _TIFF_HEAD for offset in offsets)
    return [merged.tobytes()[len(_EXIF) :], encoded[_TIFF_HEAD:]]


def _what_tiff_says(tags: Image.Exif) -> Image.Exif:
    said = Image.Exif()
    said.endian = "<"
    for tag in sorted(_TIFF_SAYS & set(tags)):
        value = tags[tag]
        if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            value = {key: item for key, item in tags.get_ifd(tag).items() if key != ExifTags.IFD.Interop}
        said[tag] = value
    return said


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, position = memoryview(data), 8
    while position + 12 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, position)
        yield kind, view[position + 8 : position + 8 + length]
        position += 12 + length


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    body = kind + payload
    return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))


def _png_text(payload: bytes) -> bytes | None:
    """The text of an iTXt chunk: key, compression flag and method, language, translated key, text."""
    flag = payload[len(_PNG_XMP) : len(_PNG_XMP) + 1]
    text = payload[len(_PNG_XMP) + 2 :].partition(b"\0")[2].partition(b"\0")[2]
    return _inflated(text) if flag == b"\1" else text or None


def _inflated(data: bytes) -> bytes | None:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return None


def _jpeg_segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def _webp_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    position = 12
    while position + 8 <= len(view):
        kind, length = struct.unpack_from("<4sI", view, position)
        yield kind, view[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
