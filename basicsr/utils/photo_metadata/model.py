"""The metadata of a photo, in the same form for every file type."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from basicsr.utils.photo_metadata import exif as exif_block
from basicsr.utils.photo_metadata.resolution import Resolution

CREDENTIALS = "content credentials (C2PA)"  # they sign the old pixels
Pieces = list[bytes | memoryview]


class Kind(Enum):
    """A kind of thing that the file of a photo carries; the value is its name in notes."""

    DEPTH_16 = "16 bits"
    ALPHA = "alpha"
    GRAY = "gray"
    GRAY_WITH_ALPHA = "gray with alpha"
    EXIF = "EXIF"
    ICC = "ICC profile"
    XMP = "XMP"
    EXTENDED_XMP = "extended XMP"
    RESOLUTION = "resolution"
    IPTC = "IPTC"
    PHOTOSHOP = "Photoshop resources"
    COMMENTS = "comments"
    TEXT = "text"
    COLORS = "meaning of colors"
    BACKGROUND = "background color"
    STALE = "what holds for the old pixels"
    COPYABLE = "other chunks"
    UNKNOWN = "other parts"
    PICTURES = "further pictures"


class Chunk(NamedTuple):
    """A part that at most its own file type can hold, as it lies in the file.

    Attributes:
        file_type: the type that it comes from.
        kind: what it is.
        name: in notes; empty where nothing is lost without it.
        key: name of a chunk.
        data: without its framing.
    """

    file_type: str
    kind: Kind
    name: str
    key: bytes = b""
    data: bytes = b""


@dataclass(frozen=True)
class Metadata:
    """What a photo's file states about it; None or empty where it states nothing.

    Attributes:
        exif: the TIFF structure, from its byte order on, without thumbnail.
        icc: color profile.
        xmp: XMP packet.
        resolution: by the file's own field, else by EXIF.
        iptc: records of IPTC-IIM.
        photoshop: image resources in their frames, without IPTC and thumbnails.
        comments: free text, UTF-8 unless the file states otherwise.
        chunks: parts of one file type.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    resolution: Resolution | None = None
    iptc: bytes | None = None
    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()
    chunks: tuple[Chunk, ...] = ()

    @property
    def orientation(self) -> int:
        """1 to 8 as in EXIF; 1, upright, where it is absent or unreadable."""
        return exif_block.orientation(self.exif or b"")


@dataclass(frozen=True)
class Header:
    """What the bytes around the pixels state.

    Attributes:
        metadata: what stays true of the photo when its pixels change, and the names of what does not.
        is_gray: one color channel is stored (decoded pixels do not always show it); always False for WebP.
        is_cmyk: the pixels are inks.
        more: further pictures in the file, in words; empty without.
        is_lossless: a WebP that lost nothing.
        gray_key: the level that means transparent in a gray PNG, in 8 or 16 bits.
        notes: what is damaged or has no place here.
    """

    metadata: Metadata
    is_gray: bool = False
    is_cmyk: bool = False
    more: str = ""
    is_lossless: bool = False
    gray_key: int | None = None
    notes: tuple[str, ...] = ()


def stale(file_type: str, *names: str) -> tuple[Chunk, ...]:
    """Things of these names that hold for the old pixels only."""
    return tuple(Chunk(file_type, Kind.STALE, name) for name in names)


def without_old_picture(file_type: str, exif: bytes | None) -> tuple[bytes | None, tuple[Chunk, ...]]:
    """EXIF without its thumbnail, which shows the old pixels, and that fact."""
    if not exif:
        return None, ()
    kept = exif_block.without_thumbnail(exif)
    return kept, stale(file_type, "EXIF thumbnail") if kept != exif else ()


def checked_profile(icc: bytes | None) -> tuple[bytes | None, list[str]]:
    """A color profile, or a note that it is damaged (ICC.1: a header of 128 bytes with 'acsp' at 36)."""
    if icc is None:
        return None, []
    is_sound = len(icc) >= 128 and icc[36:40] == b"acsp"
    return (icc, []) if is_sound else (None, [damaged("ICC profile")])


def damaged(name: str) -> str:
    """The note for a part that cannot be read."""
    return f"damaged {name} left out"


def behind_the_picture(data: bytes | memoryview) -> list[str]:
    """A note for what follows the end of a picture in its file; none for filling."""
    rest = bytes(data).strip(b"\0\xff\r\n ")
    return [f"{len(rest)} bytes behind the picture left out"] if rest else []


def printable(key: bytes) -> str:
    """A name that a file gives, fit for a note of one line."""
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in key[:24])
