"""Tags of TIFF: which tell of the photo, and what other types make of them; tifffile is the other reader."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from basicsr.utils.photo_file import read_photo_file, write_photo_file
from basicsr.utils.photo_metadata.model import Metadata
from basicsr.utils.photo_metadata.resolution import CENTIMETER, INCH, Resolution
from basicsr.utils.photo_metadata.tiff import read_tiff, read_tiff_tags, tiff_limits

IPTC = b"\x1c\x02\x78\x00\x05Water\0\0"  # a multiple of four bytes


def tiff(*tags: tuple, **options: object) -> bytes:
    buffer = io.BytesIO()
    pixels = np.zeros((4, 5, 3), np.uint8)
    tifffile.imwrite(
        buffer, pixels, photometric="rgb", metadata=None, software=False, extratags=tags, **options
    )
    return buffer.getvalue()


def tags_of(path) -> dict[int, object]:
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages[0].tags}


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}])
def test_tags_in_both_byte_orders_and_sizes(options):
    header = read_tiff(
        tiff((271, 2, 0, "Maker", True), (315, 2, 0, "Me", True), resolution=(300, 200), **options)
    )
    assert header.notes == ()
    assert header.metadata.resolution == Resolution.of(300, 200, INCH)
    assert read_tiff_tags(header.metadata.exif)[271] == "Maker"
    assert read_tiff_tags(header.metadata.exif)[315] == "Me"


@pytest.mark.parametrize("order", ["<", ">"])
def test_iptc_that_is_stored_as_numbers(order):
    numbers = np.frombuffer(IPTC, f"{order}u4")
    header = read_tiff(tiff((33723, 4, len(numbers), tuple(numbers.tolist()), True), byteorder=order))
    assert header.metadata.iptc == IPTC


def test_iptc_among_the_resources_of_photoshop():
    block = b"8BIM\4\4\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    header = read_tiff(tiff((34377, 1, len(block), block, True)))
    assert (header.metadata.iptc, header.metadata.photoshop) == (IPTC, None)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("INCH", Resolution.of(300, 200, INCH)),
        ("CENTIMETER", Resolution.of(300, 200, CENTIMETER)),
        ("NONE", Resolution.of(300, 200, None)),
    ],
)
def test_a_resolution_alone_is_no_exif_and_stays(tmp_path, unit, expected):
    (tmp_path / "a.tif").write_bytes(tiff(resolution=(300, 200), resolutionunit=unit))
    photo = read_photo_file(tmp_path / "a.tif")
    assert photo.metadata == Metadata(resolution=expected)
    assert write_photo_file(tmp_path / "b.tif", photo, photo.image) == []
    assert read_photo_file(tmp_path / "b.tif").metadata == photo.metadata
    lost = ["resolution dropped for BMP"] if unit == "NONE" else []
    assert write_photo_file(tmp_path / "b.bmp", photo, photo.image) == lost


def test_maps_keep_their_place_and_private_tags_are_named(tmp_path):
    scale = (33550, 12, 3, (0.5, 0.5, 0.0), True)
    keys = (34735, 3, 4, (1, 1, 0, 0), True)
    curve = (301, 3, 256, tuple(range(256)), True)
    others = [(65000, 2, 0, "private", True), (37724, 7, 3, b"abc", True)]
    (tmp_path / "a.tif").write_bytes(tiff(scale, keys, curve, *others))
    photo = read_photo_file(tmp_path / "a.tif")
    assert write_photo_file(tmp_path / "b.tif", photo, photo.image) == [
        "meaning of colors (TransferFunction) dropped for TIFF",
        "other parts (tag 65000) dropped for TIFF",
        "layers left out: made for the old pixels",
    ]
    kept = tags_of(tmp_path / "b.tif")
    assert (kept[33550], kept[34735]) == ((0.5, 0.5, 0.0), (1, 1, 0, 0))


def test_resolution_of_the_file_replaces_that_of_exif(tmp_path):
    exif = Image.Exif()
    exif.update({0x010F: "Maker", 0x011A: 72.0, 0x011B: 72.0, 0x0128: 2})
    Image.new("RGB", (5, 4)).save(tmp_path / "a.jpg", dpi=(300, 300), exif=exif.tobytes())
    photo = read_photo_file(tmp_path / "a.jpg")
    assert write_photo_file(tmp_path / "b.tif", photo, photo.image) == []
    kept = tags_of(tmp_path / "b.tif")
    assert (kept[282], kept[283], kept[296], kept[271]) == ((300, 1), (300, 1), 2, "Maker")


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_exif_that_means_adobe_rgb_means_it_in_and_out_of_a_tiff(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}  # DCF 2.0: uncalibrated, and the name of Adobe's
    Image.new("RGB", (5, 4)).save(tmp_path / "a.jpg", exif=exif.tobytes())
    for source, target in (("a.jpg", "b.tif"), ("b.tif", f"c{suffix}")):
        photo = read_photo_file(tmp_path / source)
        assert write_photo_file(tmp_path / target, photo, photo.image) == []
    with Image.open(tmp_path / f"c{suffix}") as seen:
        assert seen.getexif().get_ifd(0x8769)[0xA001] == 65535
        assert seen.getexif().get_ifd(0xA005) == {1: "R03"}


def test_exif_tags_that_a_tiff_does_not_take_are_named():
    exif = Image.Exif()
    exif.update({0x010F: "Maker", 0x0213: 1, 0xC4A5: b"PrintIM"})
    fit, dropped = tiff_limits(Metadata(exif=exif.tobytes()[6:]))
    assert dropped == ["EXIF tags (tag 50341)"]
    assert dict(read_tiff_tags(fit.exif)) == {0x010F: "Maker"}
    assert tiff_limits(Metadata(exif=b"junk")) == (Metadata(), ["EXIF"])


def test_tags_that_cannot_be_read_are_said():
    data = bytearray(tiff((271, 2, 0, "A long name", True)))
    entry = data.index(struct.pack("<HH", 271, 2))
    data[entry + 8 : entry + 12] = b"\xff\xff\xff\x7f"  # where the text lies
    header = read_tiff(bytes(data))
    assert header.notes == ("damaged tags left out",)
    assert header.metadata == Metadata()
    wrong = tiff((34675, 3, 2, (1, 2), True), (700, 3, 2, (1, 2), True), (33723, 12, 2, (0.5, 2.0), True))
    assert read_tiff(wrong).metadata == Metadata()
    assert read_tiff(wrong).notes == tuple(
        f"damaged {name} left out" for name in ("ICC profile", "XMP", "IPTC")
    )
