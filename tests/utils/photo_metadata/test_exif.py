"""The EXIF block: its thumbnail goes, all other bytes stay."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import ExifTags, Image

from basicsr.utils.photo_metadata.exif import orientation, resolution, without_thumbnail
from basicsr.utils.photo_metadata.resolution import INCH, Resolution


def block(order: str, *, thumbnail: bool = False, kind: int = 3) -> bytes:
    """Orientation 6 as a SHORT (3) or LONG (4), 300 x 200 pixels per inch, by the layout of TIFF 6.0."""
    value = struct.pack(order + ("H2x" if kind == 3 else "I"), 6)
    entries = struct.pack(order + "HHI", 0x0112, kind, 1) + value
    rationals = 8 + 2 + 3 * 12 + 4
    for tag, place in ((0x011A, rationals), (0x011B, rationals + 8)):
        entries += struct.pack(order + "HHII", tag, 5, 1, place)
    second = rationals + 16
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, 3)
    data = head + entries + struct.pack(order + "I", second if thumbnail else 0)
    data += struct.pack(order + "4I", 300, 1, 400, 2)
    if thumbnail:
        data += struct.pack(order + "HHHIII", 1, 0x0201, 4, 1, second + 18, 0) + b"\xff\xd8\xff\xd9"
    return data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_what_the_first_directory_says(order, kind):
    data = block(order, kind=kind)
    assert orientation(data) == 6
    assert resolution(data) == Resolution.of(300, 200, INCH)  # inches where no unit is given
    assert without_thumbnail(data) == data
    tags = Image.Exif()
    tags.load(data)
    assert (tags[0x0112], tags[0x011A], tags[0x011B]) == (6, 300, 200)


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_the_link_to_the_thumbnail_changes(order):
    data = block(order, thumbnail=True)
    cut = without_thumbnail(data)
    place = 8 + 2 + 3 * 12
    assert cut == data[:place] + bytes(4) + data[place + 4 :]
    with Image.open(io.BytesIO(jpeg(data))) as before, Image.open(io.BytesIO(jpeg(cut))) as after:
        assert before.getexif().get_ifd(ExifTags.IFD.IFD1)
        assert not after.getexif().get_ifd(ExifTags.IFD.IFD1)
        assert after.getexif()[0x0112] == 6


def jpeg(exif: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=b"Exif\0\0" + exif)
    return buffer.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_cut_of_a_block_is_read(order):
    data = block(order, thumbnail=True)
    for length in range(len(data)):
        assert orientation(data[:length]) in (1, 6)
        resolution(data[:length])
        assert len(without_thumbnail(data[:length])) == length
