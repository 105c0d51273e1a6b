"""WebP and BMP: types that have few places for what a photo says."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from basicsr.utils.photo_file import read_photo_file, write_photo_file
from basicsr.utils.photo_metadata.bmp import bmp_limits, bmp_with, read_bmp
from basicsr.utils.photo_metadata.model import Metadata
from basicsr.utils.photo_metadata.resolution import INCH, METER, Resolution
from basicsr.utils.photo_metadata.webp import read_webp, webp_limits, webp_with

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PIXELS = Image.fromarray(np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
SIZED = Resolution.of(300, 300, INCH)


def exif(**values: float) -> bytes:
    tags = Image.Exif()
    tags.update({0x010F: "Maker", **({0x011A: 300.0, 0x011B: 300.0, 0x0128: 2} if values else {})})
    return tags.tobytes()[6:]


def webp(*chunks: bytes) -> bytes:
    buffer = io.BytesIO()
    PIXELS.save(buffer, "WEBP", lossless=True, icc_profile=PROFILE)
    data = buffer.getvalue() + b"".join(chunks)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def bmp(space: int, length: int, calibration: bytes = bytes(48), profile: bytes = b"") -> bytes:
    """A BMP whose header is of version 4 or 5."""
    pixels = np.asarray(PIXELS)[::-1, :, ::-1]
    rows = np.pad(pixels.reshape(4, 18), ((0, 0), (0, 2))).tobytes()
    start = 14 + length
    header = struct.pack("<IiiHHIIiiII", length, 6, 4, 1, 24, 0, len(rows), 2835, 3000, 0, 0) + bytes(16)
    header += struct.pack("<I", space) + calibration
    header += struct.pack("<IIII", 4, length + len(rows), len(profile), 0) if length == 124 else b""
    return (
        struct.pack("<2sIHHI", b"BM", start + len(rows) + len(profile), 0, 0, start) + header + rows + profile
    )


def test_a_webp_says_a_resolution_in_exif_alone():
    made, dropped = webp_limits(Metadata(resolution=SIZED))
    data = b"".join(webp_with(memoryview(webp()), made, 6, 4, has_alpha=False))
    assert dropped == [] and read_webp(data).metadata.resolution == SIZED
    with Image.open(io.BytesIO(data)) as seen:
        assert dict(seen.getexif()) == {282: 300, 283: 300, 296: 2}
    same = Metadata(exif=exif(dense=1), resolution=SIZED)
    assert webp_limits(same) == (same, [])
    assert webp_limits(Metadata(exif=exif(), resolution=SIZED)) == (Metadata(exif=exif()), ["resolution"])


def chunk(key: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", key, len(data)) + data + bytes(len(data) % 2)


def test_a_webp_with_damage_and_things_behind_it(tmp_path):
    header = read_webp(webp(chunk(b"EXIF", exif())[:-4]))
    assert header.notes == ("damaged EXIF left out",)
    assert header.metadata == Metadata(icc=PROFILE)
    assert read_webp(webp() + b"film").notes == ("4 bytes behind the picture left out",)
    assert read_webp(webp() + bytes(4)).notes == ()
    (tmp_path / "a.webp").write_bytes(webp(chunk(b"C2PA", b"abc"), chunk(b"new ", b"abc")))
    photo = read_photo_file(tmp_path / "a.webp")
    assert write_photo_file(tmp_path / "b.webp", photo, photo.image) == [
        "other parts (new) dropped for WebP",
        "content credentials (C2PA) left out: made for the old pixels",
    ]


def test_profile_and_resolution_of_a_bmp_reach_a_png(tmp_path):
    (tmp_path / "a.bmp").write_bytes(bmp(0x4D424544, 124, profile=PROFILE))
    photo = read_photo_file(tmp_path / "a.bmp")
    assert photo.metadata == Metadata(icc=PROFILE, resolution=Resolution.of(2835, 3000, METER))
    assert write_photo_file(tmp_path / "b.png", photo, photo.image) == []
    with Image.open(tmp_path / "b.png") as seen:
        assert seen.info["icc_profile"] == PROFILE
        assert seen.info["dpi"] == pytest.approx((72.009, 76.2))
        np.testing.assert_array_equal(np.asarray(seen), np.asarray(PIXELS))
    assert write_photo_file(tmp_path / "b.bmp", photo, photo.image) == ["ICC profile dropped for BMP"]


@pytest.mark.parametrize(
    ("space", "length", "calibration", "message"),
    [
        (0, 108, bytes(48), []),
        (0, 108, bytes(47) + b"\1", ["meaning of colors (calibrated RGB) dropped for BMP"]),
        (0x73524742, 124, bytes(48), []),
        (0x4C494E4B, 124, bytes(48), ["meaning of colors (linked profile) dropped for BMP"]),
    ],
)
def test_what_a_bmp_says_of_colors(tmp_path, space, length, calibration, message):
    (tmp_path / "a.bmp").write_bytes(bmp(space, length, calibration))
    photo = read_photo_file(tmp_path / "a.bmp")
    assert write_photo_file(tmp_path / "b.bmp", photo, photo.image) == message


def test_damage_and_limits_of_a_bmp():
    assert read_bmp(bmp(0x4D424544, 124, profile=b"no profile")).notes == ("damaged ICC profile left out",)
    for length in range(54):
        assert read_bmp(bmp(0, 108)[:length]).metadata == Metadata()
    for resolution in (Resolution.of(4, 3, None), Resolution.of(2**31, 1, METER)):
        assert bmp_limits(Metadata(resolution=resolution)) == (Metadata(), ["resolution"])
    encoded = bmp(0, 108)
    assert b"".join(bmp_with(memoryview(encoded), Metadata())) == encoded
