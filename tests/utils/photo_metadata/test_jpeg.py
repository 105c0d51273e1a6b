"""Segments of JPEG: what is split over several, what is damaged, what the units of JFIF hold."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageCms

from basicsr.utils.photo_file import read_photo_file, write_photo_file
from basicsr.utils.photo_metadata.jpeg import jpeg_limits, jpeg_with, read_jpeg
from basicsr.utils.photo_metadata.model import Kind, Metadata
from basicsr.utils.photo_metadata.resolution import CENTIMETER, INCH, Resolution

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ICC = b"ICC_PROFILE\0"


def jpeg(*segments: tuple[int, bytes], **options: object) -> bytes:
    """A JPEG with segments behind JFIF's."""
    buffer = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(buffer, "JPEG", **options)
    data = buffer.getvalue()
    made = [struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload for marker, payload in segments]
    return data[:20] + b"".join(made) + data[20:]


def resource(number: int, data: bytes, name: bytes = b"\0\0") -> bytes:
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + name
        + struct.pack(">I", len(data))
        + data
        + bytes(len(data) % 2)
    )


def written(metadata: Metadata) -> bytes:
    fit, dropped = jpeg_limits(metadata)
    assert (fit, dropped) == (metadata, [])
    return b"".join(jpeg_with(memoryview(jpeg()), metadata))


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"\1"],
        [b"\1\1"],
        [b"\1\1short"],
        [b"\1\1" + bytes(200)],
        [b"\1\2" + PROFILE[:300]],
        [b"\2\2" + PROFILE[300:]],
        [b"\1\3" + PROFILE[:300], b"\3\3" + PROFILE[300:]],
        [b"\1\2" + PROFILE, b""],
    ],
)
def test_a_damaged_profile_is_left_out_and_said(tmp_path, parts):
    (tmp_path / "a.jpg").write_bytes(jpeg(*((0xE2, ICC + part) for part in parts)))
    photo = read_photo_file(tmp_path / "a.jpg")
    assert photo.notes == ("damaged ICC profile left out",)
    assert photo.metadata == Metadata()
    assert write_photo_file(tmp_path / "b.jpg", photo, photo.image) == []


def test_profile_in_any_order_of_its_segments():
    parts = [b"\2\2" + PROFILE[300:], b"\1\2" + PROFILE[:300]]
    header = read_jpeg(jpeg(*((0xE2, ICC + part) for part in parts)))
    assert header.metadata.icc == PROFILE and header.notes == ()


@pytest.mark.parametrize("density", [(300, 300), (72, 96)])
@pytest.mark.parametrize(("code", "unit"), [(1, INCH), (2, CENTIMETER)])
def test_density_in_both_units(code, unit, density):
    data = bytearray(jpeg())
    data[13:18] = struct.pack(">BHH", code, *density)
    resolution = read_jpeg(bytes(data)).metadata.resolution
    assert resolution == Resolution(Fraction(density[0]) / unit, Fraction(density[1]) / unit)
    assert read_jpeg(written(Metadata(resolution=resolution))).metadata.resolution == resolution


def test_density_without_unit_is_the_shape_of_pixels():
    data = bytearray(jpeg())
    assert read_jpeg(bytes(data)).metadata.resolution is None  # 1 : 1
    data[13:18] = struct.pack(">BHH", 0, 10, 11)
    shape = read_jpeg(bytes(data)).metadata.resolution
    assert shape == Resolution(Fraction(10), Fraction(11), is_ratio=True)
    assert written(Metadata(resolution=shape))[13:18] == data[13:18]


def test_jfif_speaks_before_exif_and_exif_where_jfif_is_silent():
    tags = Image.Exif()
    tags.update({0x011A: 240.0, 0x011B: 240.0, 0x0128: 2})
    block = tags.tobytes()
    assert read_jpeg(jpeg(exif=block)).metadata.resolution == Resolution.of(240, 240, INCH)
    assert read_jpeg(jpeg(exif=block, dpi=(300, 300))).metadata.resolution == Resolution.of(300, 300, INCH)


def test_iptc_and_resources_longer_than_a_segment():
    iptc = b"\x1c\x02\x78\x80\x04" + struct.pack(">I", 90_000) + b"x" * 90_000
    others = resource(0x0406, b"a" * 7) + resource(0x0BB7, b"path", name=b"\3one")
    data = written(Metadata(iptc=iptc, photoshop=others))
    back = read_jpeg(data)
    assert (back.metadata.iptc, back.metadata.photoshop, back.notes) == (iptc, others, ())
    with Image.open(io.BytesIO(data)) as seen:
        assert [name for name, _ in seen.applist] == ["APP0", "APP13", "APP13"]


def test_resources_that_show_or_measure_the_old_picture_are_left_out(tmp_path):
    kept = resource(0x040A, b"\1")
    block = resource(0x040C, b"thumbnail") + kept + resource(0x03ED, bytes(16))
    (tmp_path / "a.jpg").write_bytes(jpeg((0xED, b"Photoshop 3.0\0" + block)))
    photo = read_photo_file(tmp_path / "a.jpg")
    assert photo.metadata.photoshop == kept
    note = "Photoshop thumbnail left out: made for the old pixels"
    assert write_photo_file(tmp_path / "b.jpg", photo, photo.image) == [note]


@pytest.mark.parametrize(
    "block", [b"8BIM", b"8BIM\4\4\0\0\0\0\xff\xffcut", b"junk", resource(0x0406, b"a") + b"8BIM"]
)
def test_damaged_resources_are_said(block):
    header = read_jpeg(jpeg((0xED, b"Photoshop 3.0\0" + block)))
    assert header.notes == ("damaged Photoshop resources left out",)
    assert header.metadata.iptc is None


def test_several_comments_stay_byte_for_byte():
    comments = (b"gr\xfc\xdfe", "grüße".encode(), b"")
    data = jpeg(*((0xFE, comment) for comment in comments))
    assert read_jpeg(data).metadata.comments == comments
    assert read_jpeg(written(Metadata(comments=comments))).metadata.comments == comments


def test_what_no_segment_holds_is_said():
    long = bytes(65534)
    profile = PROFILE + bytes(255 * 65519)
    metadata = Metadata(
        exif=long, icc=profile, xmp=long, resolution=Resolution.of(1, 10**9, INCH), comments=(long, b"short")
    )
    fit, dropped = jpeg_limits(metadata)
    assert fit == Metadata(comments=(b"short",))
    assert dropped == ["EXIF", "ICC profile", "XMP", "resolution", "comments"]
    most = Metadata(comments=(bytes(65533),), icc=(PROFILE + bytes(255 * 65519))[: 255 * 65519])
    assert read_jpeg(written(most)).metadata == most


def test_segments_of_other_makers_are_named(tmp_path):
    segments = [(0xE3, b"Meta\0abc"), (0xEC, b"Ducky"), (0xE4, b""), (0xEB, b"JP\0\1"), (0xE1, b"FLIR\0\1")]
    (tmp_path / "a.jpg").write_bytes(jpeg(*segments, (0xEE, b"Adobe\0\x64\0\0\0\0\1")))
    photo = read_photo_file(tmp_path / "a.jpg")
    assert write_photo_file(tmp_path / "b.jpg", photo, photo.image) == [
        "other parts (APP3 Meta, APP12 Ducky, APP4, APP1 FLIR) dropped for JPEG",
        "content credentials (C2PA) left out: made for the old pixels",
    ]


def test_what_follows_the_picture_is_said_and_filling_is_not():
    for options in ({}, {"progressive": True}):
        data = jpeg(**options)
        assert read_jpeg(data + bytes(5000)).notes == ()
        assert read_jpeg(data + b"film").notes == ("4 bytes behind the picture left out",)
        assert read_jpeg(data + b"\0\0film with \xff\xd9 inside").notes == (
            "19 bytes behind the picture left out",
        )
    further = read_jpeg(jpeg((0xE2, b"MPF\0")) + jpeg())
    assert further.more and further.notes == ()


def test_extended_xmp_of_several_segments_keeps_its_order():
    start = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">I", 8)
    parts = [start + struct.pack(">I", place) + b"part" for place in (0, 4)]
    metadata = read_jpeg(jpeg(*((0xE1, part) for part in parts))).metadata
    assert {chunk.kind for chunk in metadata.chunks} == {Kind.EXTENDED_XMP}
    data = written(metadata)
    assert data.index(parts[0]) < data.index(parts[1])
