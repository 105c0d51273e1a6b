"""What a TIFF carries: the tags of its first page, by TIFF 6.0, Exif 2.32, XMP part 3 and GeoTIFF 1.1."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import IFDRational

from basicsr.utils.photo_metadata import exif as exif_block
from basicsr.utils.photo_metadata.model import (
    CREDENTIALS,
    Chunk,
    Header,
    Kind,
    Metadata,
    Pieces,
    checked_profile,
    damaged,
    stale,
)
from basicsr.utils.photo_metadata.photoshop import split_resources

_EXTRA_SAMPLES = 338
_IPTC, _CREDENTIALS, _LAYERS = 33723, 52545, 37724
_BLOCKS = {34675: Kind.ICC, 700: Kind.XMP, _IPTC: Kind.IPTC, 34377: Kind.PHOTOSHOP}
_RESOLUTION = (ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit)
# Tags that describe the photo and that Exif has, too, or that are GeoTIFF's.
_PHOTO_TAGS = {
    ExifTags.Base.DocumentName, ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model,
    ExifTags.Base.Orientation, *_RESOLUTION, ExifTags.Base.PageName, ExifTags.Base.Software,
    ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.WhitePoint,
    ExifTags.Base.PrimaryChromaticities, ExifTags.Base.Rating, ExifTags.Base.RatingPercent,
    ExifTags.Base.Copyright, ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords, ExifTags.Base.XPSubject, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo,
    33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113,
}  # fmt: skip
# How the pixels lie in the file, and filling.
_STRUCTURE = {
    *range(254, 269), 273, *range(277, 282), 284, 288, 289, 292, 293, 297, 317, 320, *range(321, 326),
    *range(332, 348), *range(512, 522), *range(529, 533), 0xEA1C, 0xEA1D,
}  # fmt: skip
_CURVES = {290, 291, 301}  # what gray levels and colors mean
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_HEAD = 8
_EXIF = b"Exif\0\0"


def read_tiff_tags(data: bytes) -> Image.Exif:
    """All tags of the first page of a TIFF, or of EXIF, which is built as one; none if they are damaged."""
    return _load(data)[0]


def read_tiff(data: bytes) -> Header:
    """Header of a TIFF; what is damaged is left out and noted."""
    tags, is_sound = _load(data)
    kept, failed = _writable(tags)
    exif = kept.tobytes().removeprefix(_EXIF)
    blocks = {tag: tags.get(tag) for tag in _BLOCKS}
    # Some writers store it as numbers, of which Pillow reads one.
    blocks[_IPTC] = exif_block.bytes_of_numbers(data, _IPTC) or blocks[_IPTC]
    icc, xmp, iptc, resources = (block if isinstance(block, bytes) else None for block in blocks.values())
    notes = [damaged(_BLOCKS[tag].value) for tag in blocks if not isinstance(blocks[tag], bytes | None)]
    icc, icc_notes = checked_profile(icc)
    iptc_inside, photoshop, has_thumbnail, is_whole = split_resources(resources or b"")
    chunks = stale("TIFF", "Photoshop thumbnail") if has_thumbnail else ()
    for tag in sorted(set(tags) - _PHOTO_TAGS - _STRUCTURE - _BLOCKS.keys()):
        if tag in (_CREDENTIALS, _LAYERS):
            chunks += stale("TIFF", CREDENTIALS if tag == _CREDENTIALS else "layers")
        else:
            chunks += (Chunk("TIFF", Kind.COLORS if tag in _CURVES else Kind.UNKNOWN, _name(tag)),)
    photometric = tags.get(ExifTags.Base.PhotometricInterpretation)
    notes += icc_notes
    notes += [] if is_sound and not failed else [damaged("tags")]
    notes += [] if is_whole else [damaged(Kind.PHOTOSHOP.value)]
    return Header(
        Metadata(
            exif=exif if set(kept) - set(_RESOLUTION) else None,
            icc=icc,
            xmp=xmp or None,
            resolution=exif_block.resolution(exif),
            iptc=iptc or iptc_inside,
            photoshop=photoshop,
            chunks=chunks,
        ),
        is_gray=photometric in (0, 1),
        is_cmyk=photometric == 5,
        more="further pages" if tags.get_ifd(ExifTags.IFD.IFD1) else "",
        notes=tuple(notes),
    )


def tiff_limits(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What fits into the tags of a TIFF, and the names of what does not."""
    dropped = []
    if metadata.resolution and metadata.resolution.to_tiff() is None:
        metadata = replace(metadata, resolution=None)
        dropped.append(Kind.RESOLUTION.value)
    if metadata.exif:
        tags = read_tiff_tags(metadata.exif)
        kept, failed = _writable(tags)
        others = [_name(tag) for tag in sorted(set(tags) - _PHOTO_TAGS - _STRUCTURE)] + failed
        dropped += [f"EXIF tags ({', '.join(others)})"] if others else []
        dropped += [] if kept or others else [Kind.EXIF.value]
        metadata = replace(metadata, exif=kept.tobytes().removeprefix(_EXIF) if kept else None)
    return metadata, dropped


def tiff_with(encoded: memoryview, metadata: Metadata, has_alpha: bool) -> Pieces:
    """The pieces of a little-endian TIFF that carries ``metadata``, which fits (`tiff_limits`).

    A new directory is put before the old file.
    """
    tags = Image.Exif()
    tags.load_from_fp(io.BytesIO(encoded))
    merged = Image.Exif()
    merged.endian = "<"
    for tag in tags:
        merged[tag] = tags[tag]
    if metadata.exif:
        kept, _ = _writable(read_tiff_tags(metadata.exif))
        for tag in kept:
            merged[tag] = kept[tag]
    resolution = metadata.resolution.to_tiff() if metadata.resolution else None
    if resolution:
        across, down, unit = resolution
        for tag, value in zip(_RESOLUTION, (_rational(across), _rational(down), unit), strict=True):
            merged[tag] = value
    blocks = (metadata.icc, metadata.xmp, metadata.iptc, metadata.photoshop)
    for tag, block in zip(_BLOCKS, blocks, strict=True):
        if block:
            merged[tag] = block
    if has_alpha:
        merged[_EXTRA_SAMPLES] = 2  # straight alpha
    # Pillow counts these from the end of the directory, where the old file follows without its first 8 bytes.
    offsets = np.atleast_1d(tags[ExifTags.Base.StripOffsets])
    merged[ExifTags.Base.StripOffsets] = tuple(int(offset) - _HEAD for offset in offsets)
    return [merged.tobytes().removeprefix(_EXIF), encoded[_HEAD:]]


def _load(data: bytes) -> tuple[Image.Exif, bool]:
    """Tags, and whether all could be read."""
    tags = Image.Exif()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "Metadata Warning")  # more values than Pillow expects
        try:
            if data[2:4] in (b"+\0", b"\0+"):  # BigTIFF
                tags.bigtiff = True
                tags.endian = "<" if data[:2] == b"II" else ">"
                tags.load_from_fp(io.BytesIO(data), *struct.unpack_from(tags.endian + "Q", data, 8))
            else:
                tags.load_from_fp(io.BytesIO(data))
            dict(tags)
            for directory in (*_DIRECTORIES, ExifTags.IFD.Interop, ExifTags.IFD.IFD1):
                tags.get_ifd(directory)
        except Exception:  # Pillow raises anything on damaged bytes
            return Image.Exif(), False
    return tags, not warned


def _writable(tags: Image.Exif) -> tuple[Image.Exif, list[str]]:
    """The tags that describe the photo, and the names of those among them that cannot be written."""
    kept, failed = Image.Exif(), []
    kept.endian = "<"
    for tag in sorted(_PHOTO_TAGS & set(tags)):
        value = tags[tag]
        if tag in _DIRECTORIES:
            value = dict(tags.get_ifd(tag))
        if tag == ExifTags.IFD.Exif and ExifTags.IFD.Interop in value:  # defines the RGB space
            value[ExifTags.IFD.Interop] = tags.get_ifd(ExifTags.IFD.Interop)
        if _can_be_written(tag, value):
            kept[tag] = value
        else:
            failed.append(_name(tag))
    return kept, failed


def _can_be_written(tag: int, value: Any) -> bool:
    alone = Image.Exif()
    alone[tag] = value
    try:
        alone.tobytes()
    except Exception:  # Pillow raises anything on values of damaged types
        return False
    return True


def _name(tag: int) -> str:
    name = TiffTags.lookup(tag).name
    return f"tag {tag}" if name == "unknown" else name


def _rational(number: Any) -> IFDRational:
    return IFDRational(number.numerator, number.denominator)
