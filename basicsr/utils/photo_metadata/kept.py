"""Which file type keeps what of a photo: one table, which the writer follows and docs/restoring.md shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from basicsr.utils.photo_metadata.bmp import bmp_limits
from basicsr.utils.photo_metadata.jpeg import jpeg_limits
from basicsr.utils.photo_metadata.model import Chunk, Kind, Metadata, printable
from basicsr.utils.photo_metadata.png import png_limits
from basicsr.utils.photo_metadata.tiff import tiff_limits
from basicsr.utils.photo_metadata.webp import webp_limits

WRITTEN_TYPES = ("PNG", "JPEG", "WebP", "TIFF", "BMP")
_LIMITS = {
    "PNG": png_limits, "JPEG": jpeg_limits, "WebP": webp_limits, "TIFF": tiff_limits, "BMP": bmp_limits,
}  # fmt: skip


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        kind: what is kept.
        what: the same for readers.
        places: where in a file of a type; a type that is not in here drops it with a note.
    """

    kind: Kind
    what: str
    places: dict[str, str] = {}


TABLE = (
    Row(Kind.DEPTH_16, "16 bits per channel", {"PNG": "pixels", "TIFF": "pixels"}),
    Row(
        Kind.ALPHA,
        "alpha, also by a palette or a color key",
        dict.fromkeys(("PNG", "WebP", "TIFF"), "pixels"),
    ),
    Row(Kind.GRAY, "gray as one channel", dict.fromkeys(("PNG", "JPEG", "TIFF", "BMP"), "pixels")),
    Row(Kind.GRAY_WITH_ALPHA, "gray with alpha as two channels"),
    Row(Kind.EXIF, "EXIF", {"PNG": "eXIf", "JPEG": "APP1", "WebP": "EXIF", "TIFF": "tags"}),
    Row(Kind.ICC, "color profile", {"PNG": "iCCP", "JPEG": "APP2", "WebP": "ICCP", "TIFF": "tag 34675"}),
    Row(Kind.XMP, "XMP", {"PNG": "iTXt", "JPEG": "APP1", "WebP": "XMP", "TIFF": "tag 700"}),
    Row(Kind.EXTENDED_XMP, "extended XMP of a JPEG", {"JPEG": "APP1"}),
    Row(
        Kind.RESOLUTION,
        "resolution",
        {"PNG": "pHYs", "JPEG": "JFIF", "WebP": "EXIF", "TIFF": "tags 282, 283, 296", "BMP": "header"},
    ),
    Row(Kind.IPTC, "IPTC", {"JPEG": "APP13", "TIFF": "tag 33723"}),
    Row(Kind.PHOTOSHOP, "image resources of Photoshop", {"JPEG": "APP13", "TIFF": "tag 34377"}),
    Row(Kind.COMMENTS, "comments", {"PNG": "tEXt or iTXt, Comment", "JPEG": "COM"}),
    Row(Kind.TEXT, "other texts of a PNG", {"PNG": "tEXt, zTXt, iTXt"}),
    Row(
        Kind.COLORS,
        "what colors mean, other than by a profile",
        {"PNG": "cICP, mDCV, cLLI, gAMA, cHRM, sRGB"},
    ),
    Row(Kind.BACKGROUND, "background color of a PNG", {"PNG": "bKGD"}),
    Row(Kind.COPYABLE, "chunks of a PNG that are safe to copy", {"PNG": "unchanged"}),
    Row(Kind.STALE, "thumbnails, time of change, significant bits, content credentials"),
    Row(Kind.UNKNOWN, "any other segment, chunk or tag"),
    Row(Kind.PICTURES, "further pictures, pages, films behind the picture"),
)
_PLACES = {row.kind: row.places for row in TABLE}
_FIELDS = {
    Kind.EXIF: "exif", Kind.ICC: "icc", Kind.XMP: "xmp", Kind.RESOLUTION: "resolution", Kind.IPTC: "iptc",
    Kind.PHOTOSHOP: "photoshop", Kind.COMMENTS: "comments",
}  # fmt: skip
_EMPTY = Metadata()


def holds(file_type: str, kind: Kind) -> bool:
    """Whether a photo that is written as ``file_type`` keeps ``kind``."""
    return file_type in _PLACES[kind]


def fitting(metadata: Metadata, file_type: str, is_gray: bool) -> tuple[Metadata, list[str]]:
    """What a file of this type holds beside gray or RGB pixels, and a note on each thing that it does not."""
    names = [
        kind.value
        for kind, field in _FIELDS.items()
        if getattr(metadata, field) and not holds(file_type, kind)
    ]
    changes: dict[str, Any] = {
        field: getattr(_EMPTY, field) for kind, field in _FIELDS.items() if not holds(file_type, kind)
    }
    kept = tuple(
        chunk for chunk in metadata.chunks if chunk.file_type == file_type and holds(file_type, chunk.kind)
    )
    fit, too_much = _LIMITS[file_type](replace(metadata, chunks=kept, **changes))
    # A profile of inks, or of one channel for three, would show other colors.
    if fit.icc and fit.icc[16:20] != (b"GRAY" if is_gray else b"RGB "):
        too_much = [*too_much, f"ICC profile for {printable(fit.icc[16:20]).strip()} colors"]
        fit = replace(fit, icc=None)
    gone = [chunk for chunk in metadata.chunks if chunk not in kept and chunk.name]
    names += [*too_much, *_named(gone)]
    notes = [f"{name} dropped for {file_type}" for name in names]
    old = dict.fromkeys(chunk.name for chunk in gone if chunk.kind is Kind.STALE)
    return fit, notes + ([f"{', '.join(old)} left out: made for the old pixels"] if old else [])


def _named(chunks: list[Chunk]) -> list[str]:
    """Kinds with the names of what belongs to them."""
    kinds = dict.fromkeys(chunk.kind for chunk in chunks if chunk.kind is not Kind.STALE)
    names = {
        kind: list(dict.fromkeys(chunk.name for chunk in chunks if chunk.kind is kind)) for kind in kinds
    }
    return [
        kind.value if of_kind == [kind.value] else f"{kind.value} ({', '.join(of_kind)})"
        for kind, of_kind in names.items()
    ]
