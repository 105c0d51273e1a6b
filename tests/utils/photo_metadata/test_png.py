"""Chunks of PNG by its specification: which rule, which are still true, which are damaged."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from basicsr.utils.photo_file import read_photo_file, write_photo_file
from basicsr.utils.photo_metadata.model import Metadata
from basicsr.utils.photo_metadata.png import png_with, read_png
from basicsr.utils.photo_metadata.resolution import Resolution

GAMMA_1, GAMMA_SRGB = struct.pack(">I", 100000), struct.pack(">I", 45455)
PRIMARIES_SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
PRIMARIES_P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
PQ, SRGB = bytes([9, 16, 0, 1]), bytes([1, 13, 0, 1])
PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def chunk(key: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + key + data + struct.pack(">I", zlib.crc32(key + data))


def png(*chunks: bytes, image: Image.Image | None = None) -> bytes:
    """A PNG with encoded chunks before its pixels."""
    buffer = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(buffer, "PNG")
    data = buffer.getvalue()
    place = data.index(b"IDAT") - 4
    return data[:place] + b"".join(chunks) + data[place:]


def metadata_of(*chunks: tuple[bytes, bytes]) -> Metadata:
    header = read_png(png(*(chunk(*item) for item in chunks)))
    assert header.notes == ()
    return header.metadata


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([(b"sRGB", b"\0"), (b"gAMA", GAMMA_SRGB), (b"cHRM", PRIMARIES_SRGB)], []),
        ([(b"gAMA", GAMMA_SRGB), (b"cHRM", PRIMARIES_SRGB)], []),
        ([(b"cICP", SRGB), (b"gAMA", GAMMA_1)], []),
        ([(b"sRGB", b"\0"), (b"gAMA", GAMMA_1)], []),
        ([(b"gAMA", GAMMA_1), (b"cHRM", PRIMARIES_SRGB)], ["gAMA"]),
        ([(b"gAMA", GAMMA_SRGB), (b"cHRM", PRIMARIES_P3)], ["cHRM"]),
        (
            [(b"cICP", PQ), (b"mDCV", bytes(24)), (b"cLLI", bytes(8)), (b"gAMA", GAMMA_1)],
            ["cICP", "mDCV", "cLLI"],
        ),
    ],
)
def test_colors_are_said_where_a_file_without_a_word_would_look_different(tmp_path, chunks, message):
    (tmp_path / "a.png").write_bytes(png(*(chunk(*item) for item in chunks)))
    photo = read_photo_file(tmp_path / "a.png")
    expected = [f"meaning of colors ({', '.join(message)}) dropped for JPEG"] if message else []
    assert write_photo_file(tmp_path / "b.jpg", photo, photo.image) == expected
    assert write_photo_file(tmp_path / "b.png", photo, photo.image) == []
    assert set(read_photo_file(tmp_path / "b.png").metadata.chunks) == set(photo.metadata.chunks)
    assert {(item.key, item.data) for item in photo.metadata.chunks} == set(chunks)


@pytest.mark.parametrize(
    ("mode", "background", "written", "colors"),
    [
        ("P", b"\2", bytes([0, 7, 0, 8, 0, 9]), 3),
        ("1", b"\0\1", bytes([0, 255]), 1),
        ("L", b"\0\x4d", b"\0\x4d", 1),
        ("RGB", bytes([0, 1, 0, 2, 0, 3]), bytes([0, 1, 0, 2, 0, 3]), 3),
        ("RGBA", bytes([0, 1, 0, 2, 0, 3]), bytes([0, 1, 0, 2, 0, 3]), 3),
    ],
)
def test_background_is_said_in_the_pixels_that_are_written(tmp_path, mode, background, written, colors):
    image = Image.new(mode, (3, 2))
    if mode == "P":
        image.putpalette([1, 2, 3, 4, 5, 6, 7, 8, 9])
        image.putdata([0, 1, 2, 0, 1, 2])
    (tmp_path / "a.png").write_bytes(png(chunk(b"bKGD", background), image=image))
    photo = read_photo_file(tmp_path / "a.png")
    assert photo.notes == ()
    write_photo_file(tmp_path / "b.png", photo, photo.image)
    data = (tmp_path / "b.png").read_bytes()
    assert chunk(b"bKGD", written) in data
    assert data[25] in ((0,) if colors == 1 else (2, 6))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_color_key_of_gray_becomes_alpha(tmp_path, depth):
    """The key is given in the depth of the file; a gray PNG of 16 columns whose levels go up."""
    largest = 2**depth - 1
    levels = np.arange(16) * largest // 15
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    row = b"\0" + int(bits, 2).to_bytes(2 * depth, "big")
    key = int(levels[5])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 1, depth, 0, 0, 0, 0))
    pixels = chunk(b"tRNS", struct.pack(">H", key)) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels)
    photo = read_photo_file(tmp_path / "a.png")
    top = 65535 if depth == 16 else 255
    np.testing.assert_array_equal(photo.image[0, :, 0], levels * (top // largest))
    np.testing.assert_array_equal(photo.alpha[0], np.where(levels == key, 0, top))
    write_photo_file(tmp_path / "b.png", photo, photo.image)
    np.testing.assert_array_equal(read_photo_file(tmp_path / "b.png").alpha, photo.alpha)


def test_chunks_whose_names_say_that_they_depend_on_pixels_are_left_out(tmp_path):
    (tmp_path / "a.png").write_bytes(
        png(chunk(b"tIME", bytes(7)), chunk(b"sBIT", b"\5\6\5"), chunk(b"prVT", b"?"), chunk(b"prVt", b"!"))
    )
    photo = read_photo_file(tmp_path / "a.png")
    note = "sBIT, tIME, prVT left out: made for the old pixels"
    assert write_photo_file(tmp_path / "b.png", photo, photo.image) == [note]
    assert [item.key for item in read_photo_file(tmp_path / "b.png").metadata.chunks] == [b"prVt"]
    assert metadata_of((b"sBIT", b"\x08\x08\x08")).chunks == ()


def test_resolution_and_the_shape_of_pixels():
    assert metadata_of((b"pHYs", struct.pack(">IIB", 11811, 2835, 1))).resolution == Resolution.of(
        11811, 2835, 1
    )
    shape = metadata_of((b"pHYs", struct.pack(">IIB", 4, 6, 0))).resolution
    assert shape.is_ratio and shape.across / shape.down == Resolution.of(2, 3, None).across / 3
    assert metadata_of((b"pHYs", struct.pack(">IIB", 5, 5, 0))).resolution is None
    assert metadata_of((b"pHYs", struct.pack(">IIB", 0, 5, 1))).resolution is None
    encoded = b"".join(png_with(memoryview(png()), Metadata(resolution=shape)))
    assert chunk(b"pHYs", struct.pack(">IIB", 2, 3, 0)) in encoded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (chunk(b"tEXt", b"Comment\0gr\xfc\xdfe"), "grüße"),
        (chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"gr\xfc\xdfe")), "grüße"),
        (chunk(b"iTXt", b"Comment\0\0\0\0\0" + "grüße 图".encode()), "grüße 图"),
        (chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress("grüße 图".encode())), "grüße 图"),
    ],
)
def test_comments_of_every_kind_reach_a_jpeg_and_come_back(tmp_path, text, expected):
    (tmp_path / "a.png").write_bytes(png(text))
    photo = read_photo_file(tmp_path / "a.png")
    assert write_photo_file(tmp_path / "b.jpg", photo, photo.image) == []
    assert Image.open(tmp_path / "b.jpg").info["comment"].decode() == expected
    again = read_photo_file(tmp_path / "b.jpg")
    write_photo_file(tmp_path / "c.png", again, again.image)
    assert Image.open(tmp_path / "c.png").text == {"Comment": expected}


def test_texts_in_a_language_stay_as_they_are(tmp_path):
    text = chunk(b"iTXt", b"Comment\0\0\0de\0Kommentar\0gut")
    (tmp_path / "a.png").write_bytes(png(text))
    photo = read_photo_file(tmp_path / "a.png")
    write_photo_file(tmp_path / "b.png", photo, photo.image)
    assert text in (tmp_path / "b.png").read_bytes()
    assert write_photo_file(tmp_path / "b.jpg", photo, photo.image) == ["text (Comment) dropped for JPEG"]


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (chunk(b"iCCP", b"name\0\0not compressed"), "ICC profile"),
        (chunk(b"iCCP", b""), "ICC profile"),
        (chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile")), "ICC profile"),
        (chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(200))[:-5]), "ICC profile"),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0junk"), "text 'XML:com.adobe.xmp'"),
        (chunk(b"iTXt", b"Title\0\0\0no language"), "text 'Title'"),
        (chunk(b"zTXt", b"Title\0"), "text 'Title'"),
        (chunk(b"gAMA", b"\1"), "gAMA"),
        (chunk(b"bKGD", b""), "bKGD"),
        (chunk(b"tEXt", b"Title\0Sea")[:-1] + b"?", "tEXt"),
        (chunk(b"pHYs", b""), "pHYs"),
    ],
)
def test_what_is_damaged_is_left_out_and_said(damage, name):
    header = read_png(png(damage))
    assert header.notes == (f"damaged {name} left out",)
    assert header.metadata == Metadata()


def test_a_text_that_swells_is_damaged():
    swelling = zlib.compress(bytes(2**26 + 1))
    assert read_png(png(chunk(b"zTXt", b"Title\0\0" + swelling))).notes == ("damaged text 'Title' left out",)
