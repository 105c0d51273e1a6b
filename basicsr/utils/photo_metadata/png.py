"""What a PNG carries, by the third edition of its specification."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

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
from basicsr.utils.photo_metadata.resolution import METER, Resolution

_SIGNATURE = 8
_XMP, _COMMENT = b"XML:com.adobe.xmp", b"Comment"
_LARGEST_NUMBER = 2**31 - 1
_LARGEST_TEXTS = 2**26  # bytes of all compressed texts and the profile; more is implausible
_GRAY, _PALETTE, _GRAY_ALPHA = 0, 3, 4
# How the pixels lie in the file.
_STRUCTURE = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"iDOT", b"CgBI"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_COLORS = {b"cICP": 4, b"mDCV": 24, b"cLLI": 8, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}
_LENGTHS = {b"IHDR": 13, b"pHYs": 9, **_COLORS}
# What colors mean in a file without these chunks.
_SRGB_PRIMARIES_AND_CURVE = b"\x01\x0d"
_NEUTRAL = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """``(name, start, end)`` of what the chunks of a PNG hold up to IEND; a cut file ends within one."""
    name, position = b"", _SIGNATURE
    while name != b"IEND" and position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, position + 8, position + 8 + length
        position += 12 + length


def read_png(data: bytes) -> Header:
    """Header of a PNG; what is damaged is left out and noted."""
    chunks, notes = _sound_chunks(data)
    first = dict(reversed(chunks))
    key = first.get(b"tRNS", b"")
    depth, color_type = first.get(b"IHDR", bytes(13))[8:10]
    inflate = _Inflater()
    icc, further = checked_profile(_profile(first[b"iCCP"], inflate)) if b"iCCP" in first else (None, [])
    exif, kept = without_old_picture("PNG", first.get(b"eXIf"))
    texts = [(chunk, _read_text(*chunk, inflate)) for chunk in chunks if chunk[0] in _TEXTS]
    xmp = next((text.text for _, text in texts if text and _is_xmp(text)), None)
    comments = tuple(text.text for _, text in texts if text and _is_comment(text))
    for (name, payload), text in texts:
        keyword = printable(payload.partition(b"\0")[0])
        if text is None:
            further.append(damaged(f"text '{keyword}'"))
        elif not _is_comment(text) and not _is_xmp(text):
            kept += (Chunk("PNG", Kind.TEXT, keyword, name, payload),)
    kept += tuple(_colors(first, has_profile=icc is not None))
    if b"bKGD" in first:
        background = _background(first, depth, color_type)
        kept += (Chunk("PNG", Kind.BACKGROUND, "bKGD", b"bKGD", background),) if background else ()
        further += [] if background else [damaged("bKGD")]
    if b"sBIT" in first and set(first[b"sBIT"]) != {8 if color_type == _PALETTE else depth}:
        kept += stale("PNG", "sBIT")
    known = _STRUCTURE | _TEXTS | _LENGTHS.keys() | {b"iCCP", b"eXIf", b"bKGD", b"sBIT"}
    kept += tuple(_other(name, payload) for name, payload in chunks if name not in known)
    return Header(
        Metadata(
            exif=exif,
            icc=icc,
            xmp=xmp or None,
            resolution=_resolution(first.get(b"pHYs")) or exif_block.resolution(exif or b""),
            comments=comments,
            chunks=kept,
        ),
        is_gray=color_type in (_GRAY, _GRAY_ALPHA),
        more="an animation" if b"acTL" in first else "",
        gray_key=_level(key, depth) if color_type == _GRAY and len(key) == 2 else None,
        notes=(*notes, *further),
    )


def png_limits(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What fits into a PNG, and the names of what does not."""
    if metadata.resolution and _physical_size(metadata.resolution) is None:
        return replace(metadata, resolution=None), [Kind.RESOLUTION.value]
    return metadata, []


def png_with(encoded: memoryview, metadata: Metadata) -> Pieces:
    """The pieces of a PNG that carries ``metadata``, which fits (`png_limits`)."""
    is_gray = encoded[_SIGNATURE + 8 + 9] in (_GRAY, _GRAY_ALPHA)
    chunks = b"".join(
        _chunk(chunk.key, chunk.data[:2] if is_gray and chunk.kind is Kind.BACKGROUND else chunk.data)
        for chunk in metadata.chunks
    )
    if metadata.icc:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.resolution:
        chunks += _chunk(b"pHYs", _physical_size(metadata.resolution) or b"")
    if metadata.exif:
        chunks += _chunk(b"eXIf", metadata.exif)
    if metadata.xmp:
        chunks += _chunk(b"iTXt", _XMP + bytes(5) + metadata.xmp)
    for comment in metadata.comments:
        chunks += _comment_chunk(comment)
    behind_header = _SIGNATURE + 12 + 13
    return [encoded[:behind_header], chunks, encoded[behind_header:]]


class _Text(NamedTuple):
    """A text chunk.

    Attributes:
        keyword: Latin-1.
        text: UTF-8.
        is_international: whether it was an iTXt.
        language: tag and translated keyword of an iTXt, unchanged.
    """

    keyword: bytes
    text: bytes
    is_international: bool = False
    language: bytes = b"\0"


class _Inflater:
    """Unpacks the compressed texts and the profile of one file, at most `_LARGEST_TEXTS` in all."""

    def __init__(self) -> None:
        self._left = _LARGEST_TEXTS

    def __call__(self, data: bytes) -> bytes | None:
        """None for what is damaged, cut short or larger than what is left."""
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(data, max(self._left, 1))  # 0 would be no limit
        except zlib.error:
            return None
        self._left -= min(len(plain), self._left)
        return plain if stream.eof else None


def _sound_chunks(data: bytes) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """(name, payload) of the chunks, without the pixels; and notes on damage and on what follows the end."""
    chunks, notes = [], []
    view = memoryview(data)
    for key, start, end in png_chunks(data):
        payload = view[start:end]
        if key == b"IEND":
            notes += behind_the_picture(view[end + 4 :])
        if key in (b"IEND", b"IDAT", b"fdAT"):
            continue
        is_sound = view[end : end + 4] == struct.pack(">I", zlib.crc32(payload, zlib.crc32(key)))
        if is_sound and len(payload) == _LENGTHS.get(key, len(payload)):
            chunks.append((key, bytes(payload)))
        elif key not in _STRUCTURE:  # a decoder's business
            notes.append(damaged(printable(key)))
    return chunks, notes


def _profile(payload: bytes, inflate: _Inflater) -> bytes:
    """The profile of an iCCP chunk: name, method, compressed profile; empty where that is damaged."""
    return inflate(payload.partition(b"\0")[2][1:]) or b""


def _read_text(key: bytes, payload: bytes, inflate: _Inflater) -> _Text | None:
    """A tEXt, zTXt or iTXt chunk; None where it is damaged."""
    keyword, _, rest = payload.partition(b"\0")
    if key == b"tEXt":
        return _Text(keyword, rest.decode("latin-1").encode())
    if key == b"zTXt":
        plain = inflate(rest[1:])
        return None if plain is None else _Text(keyword, plain.decode("latin-1").encode())
    language, between, rest_of_language = rest[2:].partition(b"\0")
    translated, ending, text = rest_of_language.partition(b"\0")
    plain = inflate(text) if rest[:1] == b"\1" else text
    if not between or not ending or plain is None:
        return None
    return _Text(keyword, plain, True, language + b"\0" + translated)


def _is_xmp(text: _Text) -> bool:
    return text.is_international and text.keyword == _XMP


def _is_comment(text: _Text) -> bool:
    return text.keyword == _COMMENT and text.language == b"\0"


def _comment_chunk(comment: bytes) -> bytes:
    try:
        text = comment.decode()
    except UnicodeDecodeError:
        text = comment.decode("latin-1")
    text = text.rstrip("\0").replace("\0", " ")  # the specification forbids it
    try:
        return _chunk(b"tEXt", _COMMENT + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return _chunk(b"iTXt", _COMMENT + bytes(5) + text.encode())


def _colors(first: dict[bytes, bytes], has_profile: bool) -> Iterator[Chunk]:
    """The chunks that define what colors mean, named where a file without them would look different.

    cICP rules over a profile, that over sRGB, that over gAMA and cHRM.
    """
    is_srgb = first.get(b"cICP", b"")[:2] == _SRGB_PRIMARIES_AND_CURVE
    is_ruled = has_profile or b"cICP" in first or b"sRGB" in first
    for key in (key for key in _COLORS if key in first):
        is_neutral = {b"cICP": is_srgb, b"sRGB": True}.get(key, first[key] == _NEUTRAL.get(key))
        is_silent = is_neutral or (is_ruled and key in _NEUTRAL)
        yield Chunk("PNG", Kind.COLORS, "" if is_silent else key.decode(), key, first[key])


def _background(first: dict[bytes, bytes], depth: int, color_type: int) -> bytes:
    """A bKGD chunk for RGB pixels, whose first two bytes are one for gray pixels; empty if it is damaged."""
    payload = first[b"bKGD"]
    if color_type == _PALETTE and len(payload) == 1:
        entry = first.get(b"PLTE", b"")[3 * payload[0] : 3 * payload[0] + 3]
        return struct.pack(">3H", *entry) if len(entry) == 3 else b""
    if color_type in (_GRAY, _GRAY_ALPHA) and len(payload) == 2:
        return 3 * struct.pack(">H", _level(payload, depth))
    return payload if len(payload) == 6 else b""


def _level(payload: bytes, depth: int) -> int:
    """A gray level of ``depth`` bits in two bytes -> of 8 or 16 bits."""
    largest = (1 << depth) - 1
    level = int.from_bytes(payload, "big") & largest
    return level * 255 // largest if depth in (1, 2, 4) else level


def _other(key: bytes, payload: bytes) -> Chunk:
    """Any other chunk: its name shows whether it stays true when pixels change (4th letter, lower case)."""
    if key[3] & 0x20:
        return Chunk("PNG", Kind.COPYABLE, printable(key), key, payload)
    return stale("PNG", CREDENTIALS if key == b"caBX" else printable(key))[0]


def _resolution(payload: bytes | None) -> Resolution | None:
    if payload is None:
        return None
    across, down, unit = struct.unpack(">IIB", payload)
    return Resolution.of(across, down, METER if unit == 1 else None)


def _physical_size(resolution: Resolution) -> bytes | None:
    """A pHYs chunk; None where the numbers are too large."""
    if resolution.is_ratio:
        return struct.pack(">IIB", *resolution.whole_ratio(_LARGEST_NUMBER), 0)
    whole = resolution.whole(METER, _LARGEST_NUMBER)
    return struct.pack(">IIB", *whole, 1) if whole else None


def _chunk(key: bytes, payload: bytes) -> bytes:
    body = key + payload
    return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))
