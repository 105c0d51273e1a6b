"""The table of what each file type keeps: the document shows it, and every cell holds for real files.

Pillow, tifffile and a walk over chunks make and read the files.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from basicsr.utils.photo_file import read_photo_file, write_photo_file
from basicsr.utils.photo_metadata.kept import TABLE, WRITTEN_TYPES
from basicsr.utils.photo_metadata.model import Kind

SUFFIX = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp", "TIFF": ".tif", "BMP": ".bmp"}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>\xc3\xa4</a></x:xmpmeta>'
IPTC = b"\x1c\x02\x78\x00\x05Water\x1c\x02\x50\x00\x02Me"  # caption and by-line
COPYRIGHT_FLAG = b"8BIM\x04\x0a\x00\x00\x00\x00\x00\x01\x01\x00"
PQ = bytes([9, 16, 0, 1])  # BT.2020 primaries, perceptual quantizer
COLOR = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8))


def encoded(file_type: str, image: Image.Image = COLOR, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_type.upper(), **options)
    return buffer.getvalue()


def exif() -> Image.Exif:
    made = Image.Exif()
    made.update({0x010F: "Maker", 0x8769: {0x829A: 0.01}})
    return made


def dense() -> Image.Exif:
    made = Image.Exif()
    made.update({0x011A: 300.0, 0x011B: 300.0, 0x0128: 2})
    return made


def with_chunk(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with chunks behind its header."""
    made = b"".join(
        struct.pack(">I", len(data)) + key + data + struct.pack(">I", zlib.crc32(key + data))
        for key, data in chunks
    )
    png = encoded("PNG")
    return png[:33] + made + png[33:]


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        found.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def with_segment(marker: int, payload: bytes) -> bytes:
    """A JPEG with a segment behind JFIF's."""
    jpeg = encoded("JPEG")
    return jpeg[:20] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + jpeg[20:]


def with_thumbnail() -> bytes:
    """An EXIF block whose second directory holds one."""
    block = exif().tobytes()[6:]
    (first,) = (
        struct.unpack_from("<I", block, 4) if block[:2] == b"II" else struct.unpack_from(">I", block, 4)
    )
    order = "<" if block[:2] == b"II" else ">"
    (count,) = struct.unpack_from(order + "H", block, first)
    place = first + 2 + 12 * count
    picture = encoded("JPEG")
    second = struct.pack(order + "H", 2)
    start = len(block) + 2 + 2 * 12 + 4
    second += struct.pack(order + "HHIIHHIII", 0x0201, 4, 1, start, 0x0202, 4, 1, len(picture), 0)
    return block[:place] + struct.pack(order + "I", len(block)) + block[place + 4 :] + second + picture


def tiff(**options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.asarray(COLOR), photometric="rgb", metadata=None, software=False, **options)
    return buffer.getvalue()


def webp_with_chunk(key: bytes, data: bytes) -> bytes:
    webp = encoded("WebP", exif=exif()) + struct.pack("<4sI", key, len(data)) + data
    return webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]


def png_text(*texts: tuple[str, str]) -> PngInfo:
    info = PngInfo()
    for key, text in texts:
        (info.add_itxt if key.startswith("XML") else info.add_text)(key, text)
    return info


def encoded_16(file_type: str) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 65536, (9, 8, 3), dtype=np.uint16)
    return cv2.imencode(SUFFIX[file_type], pixels)[1].tobytes()


ALL_EXIF = ("PNG", "JPEG", "WebP", "TIFF")
ALPHA = Image.fromarray(np.random.default_rng(2).integers(0, 256, (9, 8, 4), dtype=np.uint8))
GRAY = COLOR.convert("L")
# Files that carry a kind, by the type of the file.
SOURCES: dict[Kind, dict[str, Callable[[], bytes]]] = {
    Kind.DEPTH_16: {name: lambda name=name: encoded_16(name) for name in ("PNG", "TIFF")},
    Kind.ALPHA: {
        name: lambda name=name: encoded(name, ALPHA, lossless=True) for name in ("PNG", "WebP", "TIFF")
    },
    Kind.GRAY: {name: lambda name=name: encoded(name, GRAY) for name in ("PNG", "JPEG", "TIFF", "BMP")},
    Kind.GRAY_WITH_ALPHA: {"PNG": lambda: encoded("PNG", ALPHA.convert("LA"))},
    Kind.EXIF: {name: lambda name=name: encoded(name, exif=exif().tobytes()) for name in ALL_EXIF},
    Kind.ICC: {name: lambda name=name: encoded(name, icc_profile=PROFILE) for name in ALL_EXIF},
    Kind.XMP: {
        "PNG": lambda: encoded("PNG", pnginfo=png_text(("XML:com.adobe.xmp", XMP.decode()))),
        "JPEG": lambda: encoded("JPEG", xmp=XMP),
        "WebP": lambda: encoded("WebP", xmp=XMP),
        "TIFF": lambda: tiff(extratags=[(700, 1, len(XMP), XMP, True)]),
    },
    Kind.EXTENDED_XMP: {
        "JPEG": lambda: with_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"<more/>")
    },
    Kind.RESOLUTION: {
        **{name: lambda name=name: encoded(name, dpi=(300, 300)) for name in ("PNG", "JPEG", "TIFF", "BMP")},
        "WebP": lambda: encoded("WebP", exif=dense()),
    },
    Kind.IPTC: {
        "JPEG": lambda: with_segment(
            0xED,
            b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + bytes(len(IPTC) % 2),
        ),
        "TIFF": lambda: tiff(extratags=[(33723, 7, len(IPTC), IPTC, True)]),
    },
    Kind.PHOTOSHOP: {
        "JPEG": lambda: with_segment(0xED, b"Photoshop 3.0\0" + COPYRIGHT_FLAG),
        "TIFF": lambda: tiff(extratags=[(34377, 1, len(COPYRIGHT_FLAG), COPYRIGHT_FLAG, True)]),
    },
    Kind.COMMENTS: {
        "JPEG": lambda: encoded("JPEG", comment="Grüße"),
        "PNG": lambda: encoded("PNG", pnginfo=png_text(("Comment", "Grüße"))),
    },
    Kind.TEXT: {"PNG": lambda: encoded("PNG", pnginfo=png_text(("Author", "Me"), ("Title", "Sea")))},
    Kind.COLORS: {"PNG": lambda: with_chunk((b"cICP", PQ), (b"gAMA", struct.pack(">I", 100000)))},
    Kind.BACKGROUND: {"PNG": lambda: with_chunk((b"bKGD", bytes([0, 9, 0, 8, 0, 7])))},
    Kind.COPYABLE: {"PNG": lambda: with_chunk((b"vpAg", bytes(9)))},
    Kind.STALE: {
        "PNG": lambda: with_chunk((b"tIME", bytes([7, 230, 1, 1, 0, 0, 0])), (b"eXIf", with_thumbnail())),
        "JPEG": lambda: encoded("JPEG", exif=b"Exif\0\0" + with_thumbnail()),
        "WebP": lambda: encoded("WebP", exif=with_thumbnail()),
        "TIFF": lambda: tiff(extratags=[(52545, 7, 4, b"c2pa", True)]),
    },
    Kind.UNKNOWN: {
        "JPEG": lambda: with_segment(0xE3, b"Meta\0abc"),
        "WebP": lambda: webp_with_chunk(b"abcd", b"1234"),
        "TIFF": lambda: tiff(extratags=[(65000, 2, 0, "private", True)]),
    },
    Kind.PICTURES: {
        "PNG": lambda: encoded("PNG") + b"film",
        "JPEG": lambda: encoded("JPEG") + b"film",
        "WebP": lambda: encoded("WebP", save_all=True, append_images=[GRAY.convert("RGB")]),
        "TIFF": lambda: encoded("TIFF", save_all=True, append_images=[COLOR]),
    },
}
# What notes call a kind, where it is not the kind itself.
MESSAGE = {
    Kind.STALE: "made for the old pixels", Kind.PICTURES: " left out", Kind.GRAY: "stored as equal colors",
    Kind.GRAY_WITH_ALPHA: "alpha",
}  # fmt: skip


def seen(kind: Kind, data: bytes) -> Any:
    """What other readers find of a kind; None if nothing."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        tags = image.getexif()
        if kind is Kind.DEPTH_16:
            # Pillow opens 16-bit colors as 8 bits.
            is_deep = data[24] == 16 if image.format == "PNG" else tags.get(258) == (16, 16, 16)
            return is_deep or None
        if kind in (Kind.ALPHA, Kind.GRAY_WITH_ALPHA):
            has = image.mode in {Kind.ALPHA: ("RGBA",), Kind.GRAY_WITH_ALPHA: ("LA",)}[kind]
            return np.asarray(image)[..., -1].tolist() if has else None
        if kind is Kind.GRAY:
            return True if image.mode == "L" else None
        if kind is Kind.EXIF:
            return (tags[0x010F], tags.get_ifd(0x8769)) if 0x010F in tags else None
        if kind is Kind.ICC:
            return image.info.get("icc_profile")
        if kind is Kind.XMP:
            text = image.info.get("XML:com.adobe.xmp")
            return text.encode() if text else image.info.get("xmp")
        if kind is Kind.RESOLUTION:
            inches = {2: 1, 3: 2.54}.get(tags.get(296), 1)
            found = image.info.get("dpi", (tags.get(282, 0) * inches, tags.get(283, 0) * inches))
            return tuple(round(float(side), 1) for side in found) if all(found) else None
        if kind is Kind.IPTC:
            return IptcImagePlugin.getiptcinfo(image)
        if kind is Kind.PHOTOSHOP:
            resources = tags.get(34377, image.info.get("photoshop"))
            is_there = resources in (COPYRIGHT_FLAG, {0x040A: b"\x01"})
            return True if is_there else resources
        if kind is Kind.COMMENTS:
            comment = image.info.get("Comment") or image.info.get("comment")
            return comment.decode() if isinstance(comment, bytes) else comment
        if kind is Kind.TEXT:
            return dict(getattr(image, "text", {})) or None
        if kind is Kind.EXTENDED_XMP:
            return next((part for name, part in getattr(image, "applist", []) if b"extension" in part), None)
        keys = {Kind.COLORS: (b"cICP", b"gAMA"), Kind.BACKGROUND: (b"bKGD",), Kind.COPYABLE: (b"vpAg",)}[kind]
        return [chunk for chunk in chunks(data) if chunk[0] in keys] if image.format == "PNG" else None


def cells() -> list[Any]:
    return [
        pytest.param(row, source, target, id=f"{row.kind.name}-{source}-to-{target}")
        for row in TABLE
        for source in SOURCES[row.kind]
        for target in WRITTEN_TYPES
    ]


@pytest.mark.parametrize(("row", "source", "target"), cells())
def test_every_cell_of_the_table(tmp_path, row, source, target):
    data = SOURCES[row.kind][source]()
    (tmp_path / "a").write_bytes(data)
    photo = read_photo_file(tmp_path / "a")
    assert photo.file_type == source
    place = tmp_path / f"b{SUFFIX[target]}"
    notes = write_photo_file(place, photo, photo.image)
    message = [note for note in (*photo.notes, *notes) if MESSAGE.get(row.kind, row.kind.value) in note]
    if target in row.places:
        assert not message
        assert seen(row.kind, place.read_bytes()) == seen(row.kind, data) is not None
    else:
        assert len(message) == 1
        if row.kind not in (Kind.STALE, Kind.UNKNOWN, Kind.PICTURES):
            assert seen(row.kind, place.read_bytes()) is None
    back = read_photo_file(place)
    assert back.notes == ()
    assert write_photo_file(tmp_path / f"c{SUFFIX[target]}", back, back.image) == []


def test_every_place_of_the_table_is_tried():
    for row in TABLE:
        assert row.places.keys() <= SOURCES[row.kind].keys()
        assert row.places.keys() <= set(WRITTEN_TYPES)


def test_the_document_shows_the_table():
    document = (Path(__file__).parents[3] / "docs" / "restoring.md").read_text()
    shown = document.partition("<!-- kept: begin -->\n")[2].partition("\n<!-- kept: end -->")[0]
    lines = [["", *WRITTEN_TYPES], ["---"] * (1 + len(WRITTEN_TYPES))]
    lines += [[row.what, *(row.places.get(name, "reported") for name in WRITTEN_TYPES)] for row in TABLE]
    assert shown.strip().splitlines() == [f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines]
