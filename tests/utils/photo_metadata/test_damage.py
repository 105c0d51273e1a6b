"""Damage in what a file says of its photo never ends in anything but notes."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from basicsr.utils.photo_metadata import (
    fitting,
    jpeg_with,
    png_with,
    read_bmp,
    read_jpeg,
    read_png,
    read_tiff,
    read_webp,
    tiff_with,
    webp_with,
)

READERS = {"PNG": read_png, "JPEG": read_jpeg, "WebP": read_webp, "TIFF": read_tiff, "BMP": read_bmp}
XMP = b"<x:xmpmeta/>"


def carrier(file_type: str) -> bytes:
    """A small file with something of every kind that Pillow and tifffile write."""
    tags = Image.Exif()
    tags.update(
        {0x010F: "Maker", 0x0112: 6, 0x011A: 300.0, 0x011B: 300.0, 0x8769: {0x829A: 0.01}, 0x8825: {1: "N"}}
    )
    buffer = io.BytesIO()
    image = Image.fromarray(np.zeros((3, 4, 3), np.uint8))
    if file_type == "TIFF":
        blocks = [(700, 1, len(XMP), XMP, True), (33723, 4, 2, (1, 2), True), (34377, 1, 4, b"8BIM", True)]
        texts = [(271, 2, 0, "Maker", True), (33550, 12, 3, (1.0, 1.0, 0.0), True), (274, 3, 1, 6, True)]
        tifffile.imwrite(buffer, np.zeros((3, 4, 3), np.uint8), photometric="rgb", extratags=blocks + texts)
        return buffer.getvalue()
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add_text("Author", "Me", zip=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {} if file_type == "BMP" else {"exif": tags.tobytes(), "icc_profile": profile, "xmp": XMP}
    image.save(buffer, file_type.upper(), dpi=(300, 300), pnginfo=info, comment="said", **options)
    return buffer.getvalue()


def plain(file_type: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, file_type.upper())
    return buffer.getvalue()


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Up to four bytes changed, some taken out or put in, or the end cut off."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        way = chance.randrange(8)
        if way < 5:
            changed[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        elif way == 5:
            del changed[place : place + chance.choice([1, 2, 4])]
        elif way == 6:
            changed[place:place] = chance.randbytes(chance.choice([1, 2, 4]))
        elif place > len(changed) // 2:
            del changed[place:]
    return bytes(changed)


@pytest.mark.parametrize("file_type", READERS)
def test_damaged_metadata_are_read_and_what_is_left_is_written(file_type):
    whole = carrier(file_type)
    pixels = {name: memoryview(plain(name)) for name in READERS}
    write = {
        "PNG": lambda metadata: png_with(pixels["PNG"], metadata),
        "JPEG": lambda metadata: jpeg_with(pixels["JPEG"], metadata),
        "WebP": lambda metadata: webp_with(pixels["WebP"], metadata, 4, 3, has_alpha=False),
        "TIFF": lambda metadata: tiff_with(pixels["TIFF"], metadata, has_alpha=False),
    }
    for seed in range(250):
        header = READERS[file_type](damaged(whole, random.Random(seed)))
        assert all("\n" not in note for note in header.notes)
        assert 1 <= header.metadata.orientation <= 8
        for target, encode in write.items():
            metadata, notes = fitting(header.metadata, target, is_gray=False)
            assert all("\n" not in note for note in notes)
            assert b"".join(encode(metadata))
