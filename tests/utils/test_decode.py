"""What each image type means: Pillow is the other reader.

What it rounds or refuses is compared with the pixels that were written.
"""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageOps

from basicsr.utils.decode import decode
from basicsr.utils.errors import UserError
from basicsr.utils.image import READABLE, decode_rgb
from basicsr.utils.photo_file import PhotoFile, read_photo_file, write_photo_file, written_suffix
from basicsr.utils.pixel_limit import PixelLimit

ORIENTATION = 0x0112
# Two decoders are each within 1 of the exact samples (T.83), which colors weigh by up to 1.772 (JFIF).
JPEG_TOLERANCE = 2 * (1 + 1.772)


def noise(*shape: int, depth: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(depth).max, shape, endpoint=True).astype(depth)


def picture(mode: str, height: int = 6, width: int = 9) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(noise(height, width, depth=np.uint16))
    colors = Image.fromarray(noise(height, width, 4))
    if mode == "LA":
        return colors.convert("LA")
    if mode == "P":
        return colors.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=13)
    return colors.convert(mode) if mode == "RGBA" else colors.convert("RGB").convert(mode)


def saved(image: Image.Image, file_type: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_type, **options)
    return buffer.getvalue()


def by_opencv(pixels: np.ndarray, suffix: str, *options: int) -> bytes:
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(pixels.shape[-1] if pixels.ndim == 3 else 1)
    done, data = cv2.imencode(suffix, pixels if order is None else cv2.cvtColor(pixels, order), options)
    assert done
    return data.tobytes()


def by_tifffile(pixels: np.ndarray, in_planes: bool = False, **options: object) -> bytes:
    buffer = io.BytesIO()
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if channels in (2, 4):
        options.setdefault("extrasamples", ["unassalpha"])
    if channels > 1:
        options["planarconfig"] = "separate" if in_planes else "contig"
    options.setdefault("photometric", "rgb" if channels > 2 else "minisblack")
    tifffile.imwrite(buffer, np.moveaxis(pixels, 2, 0) if in_planes else pixels, **options)
    return buffer.getvalue()


def tiff_of_bits(levels: np.ndarray, bits: int) -> bytes:
    """(H, W) or (H, W, 3) packed without gaps within a row, by TIFF 6.0."""
    height, width = levels.shape[:2]
    channels = 3 if levels.ndim == 3 else 1
    rows = b""
    for row in levels.reshape(height, -1):
        written = "".join(f"{level:0{bits}b}" for level in row)
        written += "0" * (-len(written) % 8)
        rows += int(written, 2).to_bytes(len(written) // 8, "big")
    behind = 8 + 2 + 12 * 9 + 4
    counts = struct.pack(f"<{channels}H", *[bits] * channels)
    tags = [
        (256, 1, width), (257, 1, height), (258, channels, behind if channels > 1 else bits), (259, 1, 1),
        (262, 1, 2 if channels > 1 else 1), (273, 1, behind + len(counts)), (277, 1, channels),
        (278, 1, height), (279, 1, len(rows)),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack("<HHII", tag, 3 if tag == 258 or number < 65536 else 4, count, number)
        for tag, count, number in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + counts + rows


def bitmap(rows: np.ndarray, width: int, bits: int, head: bytes, more: bytes) -> bytes:
    """A BMP from its bottom row up; ``rows`` are bytes (H, row), ``more`` masks or a palette."""
    padded = np.pad(rows, [(0, 0), (0, -rows.shape[1] % 4)])[::-1].tobytes()
    start = 14 + len(head) + len(more)
    return struct.pack("<2sIHHI", b"BM", start + len(padded), 0, 0, start) + head + more + padded


def os2_bitmap(levels: np.ndarray, palette: np.ndarray) -> bytes:
    """8 bits a pixel with the 12-byte header of OS/2, whose palette has three bytes a color."""
    height, width = levels.shape
    head = struct.pack("<IHHHH", 12, width, height, 1, 8)
    return bitmap(levels, width, 8, head, palette[:, ::-1].tobytes())


def bitmap_of_fields(values: np.ndarray, *masks: int) -> bytes:
    """16 bits a pixel with the masks of red, green and blue."""
    height, width = values.shape
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 16, 3, 0, 0, 0, 0, 0)
    return bitmap(
        values.astype("<u2").view(np.uint8).reshape(height, -1), width, 16, head, struct.pack("<3I", *masks)
    )


def heic(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=-1, **options)
    return buffer.getvalue()


def read_both_ways(folder: Path, data: bytes, name: str = "a.bin") -> PhotoFile:
    """As restoration reads it, after a look at what data sets read."""
    (folder / name).write_bytes(data)
    photo = read_photo_file(folder / name)
    np.testing.assert_array_equal(decode_rgb(data, name), photo.image)
    assert photo.image.ndim == 3 and photo.image.flags.c_contiguous
    return photo


def by_pillow(data: bytes) -> np.ndarray:
    """(H, W, 4), upright, 8 or 16 bits."""
    with Image.open(io.BytesIO(data)) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "I;16", "I;16B"):
            gray = np.asarray(image).astype(np.uint16)
            return np.dstack([gray, gray, gray, np.full_like(gray, 65535)])
        return np.asarray((image if image.has_transparency_data else image.convert("RGB")).convert("RGBA"))


def pillow_cases() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield f"PNG {mode}", saved(picture(mode), "PNG")
        if mode != "P":
            yield f"JPEG 2000 {mode}", saved(picture("L" if mode == "1" else mode), "JPEG2000")
    for bits in (1, 2, 4):
        few = picture("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=2**bits)
        yield f"PNG P {bits}-bit", saved(few, "PNG", bits=bits)
        yield f"GIF P {bits}-bit", saved(few, "GIF", transparency=1)
    yield "PNG P key", saved(picture("P"), "PNG", transparency=2)
    yield "PNG L key", saved(picture("L"), "PNG", transparency=picture("L").getpixel((3, 2)))
    yield "PNG RGB key", saved(picture("RGB"), "PNG", transparency=picture("RGB").getpixel((3, 2)))
    for mode in ("RGB", "RGBA"):
        for options in ({"lossless": True, "exact": True}, {"quality": 80}):
            yield f"WebP {mode} {options}", saved(picture(mode, 16, 16), "WEBP", **options)
        yield f"AVIF {mode}", saved(picture(mode), "AVIF", quality=100, subsampling="4:4:4")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
        for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd"):
            yield f"TIFF {mode} {compression}", saved(picture(mode), "TIFF", compression=compression)
    yield "TIFF 1 group4", saved(picture("1"), "TIFF", compression="group4")
    yield "TIFF BigTIFF", saved(picture("RGBA"), "TIFF", big_tiff=True)
    yield "TIFF YCbCr", saved(picture("YCbCr"), "TIFF")
    for mode in ("L", "RGB"):
        yield f"TIFF {mode} JPEG", saved(picture(mode, 16, 16), "TIFF", compression="jpeg")
    for bits in (1, 2, 4, 8):
        yield f"TIFF {bits} bits", tiff_of_bits(noise(5, 7) >> (8 - bits), bits)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"BMP {mode}", saved(picture(mode), "BMP")
    yield "BMP OS/2", os2_bitmap(noise(5, 7) % 13, noise(13, 3))
    yield "BMP 5-6-5", bitmap_of_fields(noise(5, 7, depth=np.uint16), 0xF800, 0x7E0, 0x1F)
    yield "BMP 5-5-5", bitmap_of_fields(noise(5, 7, depth=np.uint16), 0x7C00, 0x3E0, 0x1F)
    for mode in ("L", "P"):
        yield f"GIF {mode}", saved(picture(mode), "GIF")
    for mode in ("1", "L", "RGB", "I;16"):
        yield f"PNM {mode}", saved(picture(mode), "PPM")
    yield "PNM up to 100", b"P6 7 5 100\n" + (noise(5, 7, 3) % 101).tobytes()
    yield "PNM in words", b"P2\n# levels\n2 2\n1000\n0 250\n500 1000\n"


PILLOW_CASES = dict(pillow_cases())


@pytest.mark.parametrize("case", PILLOW_CASES)
def test_pixels_are_those_that_pillow_reads(tmp_path, case: str):
    data = PILLOW_CASES[case]
    expected = by_pillow(data)
    photo = read_both_ways(tmp_path, data)
    assert case.startswith(photo.file_type)
    tolerance = JPEG_TOLERANCE if case.endswith("JPEG") else 0
    assert photo.image.dtype == expected.dtype
    np.testing.assert_allclose(photo.image.astype(int), expected[..., :3], rtol=0, atol=tolerance)
    has_alpha = (expected[..., 3] != np.iinfo(expected.dtype).max).any()
    if photo.alpha is None:
        assert not has_alpha
    else:
        np.testing.assert_array_equal(photo.alpha, expected[..., 3])
    if not case.startswith("GIF"):  # whose colors are always those of a palette
        is_gray = {*case.split(" ")} & {"1", "L", "LA", "I;16", "bits", "words"}
        assert photo.is_gray == bool(is_gray)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}])
def test_jpegs_are_close_to_what_pillow_reads(tmp_path, mode, options):
    data = saved(picture(mode, 17, 19), "JPEG", **options)
    photo = read_both_ways(tmp_path, data)
    # Inks become light by a product of two of them, rounded.
    tolerance = 2 * JPEG_TOLERANCE + 1 if mode == "CMYK" else JPEG_TOLERANCE
    np.testing.assert_allclose(photo.image.astype(int), by_pillow(data)[..., :3], rtol=0, atol=tolerance)
    assert (photo.is_gray, photo.notes != ()) == (mode == "L", mode == "CMYK")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("in_planes", [False, True])
@pytest.mark.parametrize(
    "layout",
    [{}, {"tile": (16, 16)}, {"byteorder": ">"}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"},
     {"compression": "zlib", "predictor": True}, {"rowsperstrip": 2}],
    ids=str,
)  # fmt: skip
def test_every_layout_of_a_tiff(tmp_path, depth, channels, in_planes, layout):
    in_planes = in_planes and channels > 1
    pixels = noise(5, 7, channels, depth=depth) if channels > 1 else noise(5, 7, depth=depth)
    photo = read_both_ways(tmp_path, by_tifffile(pixels, in_planes, **layout))
    colors = pixels[..., :3] if channels > 2 else np.dstack([pixels.reshape(5, 7, -1)[..., 0]] * 3)
    np.testing.assert_array_equal(photo.image, colors)
    if channels in (2, 4):
        np.testing.assert_array_equal(photo.alpha, pixels[..., -1])
    else:
        assert photo.alpha is None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_more_than_8_bits_of_a_tiff_become_16_and_white_stays_white(tmp_path, bits, channels):
    largest = (1 << bits) - 1
    levels = noise(5, 7, channels, depth=np.uint16) >> (16 - bits)
    levels[0, 0], levels[0, 1] = 0, largest
    photo = read_both_ways(tmp_path, tiff_of_bits(levels[..., 0] if channels == 1 else levels, bits))
    np.testing.assert_array_equal(photo.image, np.rint(levels * (65535 / largest)) + np.zeros(3, int))


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_white_is_zero(tmp_path, depth):
    levels = noise(5, 7, depth=depth)
    photo = read_both_ways(tmp_path, by_tifffile(levels, photometric="miniswhite"))
    np.testing.assert_array_equal(photo.image[..., 0], np.iinfo(depth).max - levels)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_premultiplied_alpha_becomes_straight(tmp_path, depth):
    """What rounding to half a step did to a product with alpha, alpha divides."""
    largest = int(np.iinfo(depth).max)
    straight = noise(5, 7, 4, depth=depth)
    straight[0, 0] = 0
    share = straight[..., 3:] / largest
    multiplied = np.dstack([np.rint(straight[..., :3] * share).astype(depth), straight[..., 3]])
    photo = read_both_ways(tmp_path, by_tifffile(multiplied, extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(photo.alpha, straight[..., 3])
    off = np.abs(photo.image.astype(int) - straight[..., :3])[1:]
    assert (off <= 0.5 / share[1:] + 1).all()
    assert (photo.image[0, 0] == 0).all()


def test_a_fourth_channel_that_is_no_alpha_is_left_out(tmp_path):
    for depth in (np.uint8, np.uint16):
        pixels = noise(5, 7, 4, depth=depth)
        photo = read_both_ways(tmp_path, by_tifffile(pixels, extrasamples=["unspecified"]))
        np.testing.assert_array_equal(photo.image, pixels[..., :3])
        assert photo.alpha is None


@pytest.mark.parametrize("suffix", [".png", ".jp2"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_stay(tmp_path, suffix, channels):
    pixels = noise(64, 70, channels, depth=np.uint16)
    options = (cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000) if suffix == ".jp2" else ()
    photo = read_both_ways(tmp_path, by_opencv(pixels[..., 0] if channels == 1 else pixels, suffix, *options))
    np.testing.assert_array_equal(photo.image, pixels[..., :3] if channels > 1 else np.dstack([pixels] * 3))
    assert (photo.alpha is None) == (channels < 4) and photo.is_gray == (channels == 1)


@pytest.mark.parametrize("largest", [65535, 1000])
def test_16_bit_colors_of_a_ppm(tmp_path, largest):
    levels = np.minimum(noise(5, 7, 3, depth=np.uint16) >> (6 * (largest == 1000)), largest)
    levels[0, 0] = largest
    data = b"P6\n# by hand\n7 5\n%d\n" % largest + levels.astype(">u2").tobytes()
    photo = read_both_ways(tmp_path, data)
    np.testing.assert_array_equal(photo.image, np.rint(levels * (65535 / largest)))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_heic(tmp_path, mode):
    data = heic(picture(mode, 24, 16))
    photo = read_both_ways(tmp_path, data, "a.heic")
    reference = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    expected = np.asarray(reference)
    assert (photo.file_type, photo.is_gray) == ("HEIC", mode in ("L", "I;16"))
    if mode == "I;16":  # 10 of its bits are stored
        expected = np.rint((expected >> 6) * (65535 / 1023))
    np.testing.assert_array_equal(
        photo.image, expected[..., :3] if expected.ndim == 3 else np.dstack([expected] * 3)
    )
    if mode == "RGBA":
        np.testing.assert_array_equal(photo.alpha, expected[..., 3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_type", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_photos_are_upright_for_everyone(tmp_path, file_type, orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    image = Image.fromarray(np.kron(noise(2, 3, 3), np.ones((8, 8, 1), np.uint8)))
    options = {"lossless": True} if file_type == "WEBP" else {}
    data = saved(image, file_type, exif=tags, **options)
    photo = read_both_ways(tmp_path, data)
    assert photo.image.shape[:2] == ((16, 24) if orientation < 5 else (24, 16))
    tolerance = JPEG_TOLERANCE if file_type == "JPEG" else 0
    np.testing.assert_allclose(photo.image.astype(int), by_pillow(data)[..., :3], rtol=0, atol=tolerance)
    assert write_photo_file(tmp_path / "b.png", photo, photo.image) == []
    np.testing.assert_array_equal(decode_rgb((tmp_path / "b.png").read_bytes(), "b.png"), photo.image)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("in_planes", [False, True])
def test_16_bit_tiffs_are_upright_too(tmp_path, depth, in_planes):
    pixels = noise(5, 7, 3, depth=depth)
    tag = [(274, "H", 1, 6, True)]
    photo = read_both_ways(tmp_path, by_tifffile(pixels, in_planes, extratags=tag))
    np.testing.assert_array_equal(photo.image, np.rot90(pixels, -1))


def test_a_heic_is_turned_by_its_boxes_and_once_only(tmp_path):
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    image = picture("RGB", 24, 16)
    flat = read_both_ways(tmp_path, heic(image), "a.heic")
    turned = read_both_ways(tmp_path, heic(image, exif=tags.tobytes()), "b.heic")
    np.testing.assert_array_equal(turned.image, np.rot90(flat.image, -1))
    assert turned.metadata.exif and turned.metadata.orientation == 1
    write_photo_file(tmp_path / "b.png", turned, turned.image)
    np.testing.assert_array_equal(by_pillow((tmp_path / "b.png").read_bytes())[..., :3], turned.image)


def test_without_the_extra_a_heic_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UserError, match=r"^a\.heic: reading HEIC needs .*pip install sam-deblur\[heic\]$"):
        decode(heic(picture("RGB", 16, 16)), "a.heic")


def pages(file_type: str) -> bytes:
    first, *others = (Image.fromarray(np.full((8, 9, 3), level, np.uint8)) for level in (40, 90, 200))
    if file_type == "16-bit TIFF":
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            for level in (40, 90):
                writer.write(np.full((8, 9, 3), level, np.uint16), photometric="rgb")
        return buffer.getvalue()
    if file_type == "HEIC":
        stack = pillow_heif.from_pillow(first)
        stack.add_from_pillow(others[0])
        buffer = io.BytesIO()
        stack.save(buffer, quality=-1)
        return buffer.getvalue()
    options = {"lossless": True} if file_type == "WEBP" else {}
    return saved(first, file_type, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("file_type", ["PNG", "WEBP", "TIFF", "16-bit TIFF", "GIF", "AVIF", "MPO", "HEIC"])
def test_the_first_of_several_pictures_is_taken_and_said(tmp_path, file_type):
    photo = read_both_ways(tmp_path, pages(file_type))
    assert photo.image.shape == (8, 9, 3)
    np.testing.assert_allclose(photo.image.astype(int), 40, atol=2)  # AVIF and HEIC here lose a little
    assert any("the first picture is taken" in note for note in photo.notes)


def test_a_png_s_picture_outside_of_its_animation_is_the_first(tmp_path):
    first, *frames = (Image.fromarray(np.full((8, 9, 3), level, np.uint8)) for level in (40, 90, 200))
    data = saved(first, "PNG", save_all=True, append_images=frames, default_image=True)
    np.testing.assert_array_equal(read_both_ways(tmp_path, data).image, np.asarray(first))


@pytest.mark.parametrize(
    "file_type", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF"]
)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_thin_pictures(tmp_path, file_type, size):
    data = saved(picture("RGB", *size), file_type)
    photo = read_both_ways(tmp_path, data)
    assert photo.image.shape == (*size, 3)


def test_content_decides_not_the_suffix(tmp_path):
    for name in ("a.png", "a.jpg", "a.tif", "a.heic"):
        assert read_both_ways(tmp_path, saved(picture("RGB"), "GIF"), name).file_type == "GIF"
    for name in ("a.jfif", "a.jpe", "a.mpo"):
        assert read_both_ways(tmp_path, saved(picture("RGB", 16, 16), "JPEG"), name).file_type == "JPEG"
    assert written_suffix(".jfif") == ".jfif" and written_suffix(".jpe") == ".jpe"
    assert {written_suffix(suffix) for suffix in READABLE} <= {*READABLE}


@pytest.mark.parametrize("file_type", ["AVIF", "HEIC", "GIF"])
def test_types_that_are_only_read_keep_what_pillow_hands_over(tmp_path, file_type):
    profile = bytearray(200)
    profile[16:20], profile[36:40] = b"RGB ", b"acsp"
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    xmp = b"<x:xmpmeta/>"
    image = picture("RGB", 16, 16)
    output = {"exif": tags.tobytes(), "icc_profile": bytes(profile), "xmp": xmp}
    if file_type == "HEIC":
        image.info.update(output)
        data = heic(image)
    else:
        data = saved(image, file_type, **({"comment": b"seen"} if file_type == "GIF" else output))
    photo = read_both_ways(tmp_path, data)
    if file_type == "GIF":
        assert photo.metadata.comments == (b"seen",)
    else:
        assert (photo.metadata.icc, photo.metadata.xmp) == (bytes(profile), xmp)
        assert photo.metadata.exif == tags.tobytes().removeprefix(b"Exif\0\0")
    assert write_photo_file(tmp_path / "b.png", photo, photo.image) == []
    assert read_photo_file(tmp_path / "b.png").metadata == photo.metadata


def test_more_bits_than_the_pixels_have_are_said(tmp_path):
    inks = by_tifffile(noise(5, 7, 4, depth=np.uint16), photometric="separated", extrasamples=None)
    assert "more than 8 bits rounded to 8" in read_both_ways(tmp_path, inks).notes


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "RGB", "L"])
def test_pillow_s_limit_is_not_ours(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for compression in ("raw", "tiff_lzw"):
        buffer = io.BytesIO()
        picture(mode).save(buffer, "TIFF", compression=compression)
        assert read_both_ways(tmp_path, buffer.getvalue()).image.shape == (6, 9, 3)
    tiled = by_tifffile(noise(20, 20, 4), tile=(16, 16))
    assert read_both_ways(tmp_path, tiled).image.shape == (20, 20, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize(
    "file_type", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"]
)
def test_what_is_larger_than_the_limit_is_one_line(file_type):
    limit = PixelLimit(50, "cut it")
    with pytest.raises(UserError, match="^a.x: 9 x 6 pixels are more than 50; cut it$"):
        decode(saved(picture("RGBA" if file_type == "BMP" else "RGB"), file_type), "a.x", limit)


def test_kinds_of_tiff_that_nobody_reads_are_named():
    with pytest.raises(UserError, match="^a.tif: a 16-bit TIFF with 3 channels of CIELAB colors is not"):
        decode(by_tifffile(noise(5, 7, 3, depth=np.uint16), photometric="cielab"), "a.tif")
    with pytest.raises(UserError, match="^a.tif: a 16-bit TIFF with 5 channels of RGB colors is not"):
        decode(
            by_tifffile(noise(5, 7, 5, depth=np.uint16), extrasamples=["unspecified"] * 2, photometric="rgb"),
            "a.tif",
        )


@pytest.mark.parametrize("tag", [256, 257])
def test_a_tiff_without_pixels_is_one_line(tag):
    """Of a compression that is left to tifffile, which returns an empty array."""
    data = bytearray(by_tifffile(noise(5, 7, 4, depth=np.uint16), photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        size, compression = (file.pages[0].tags[code].valueoffset for code in (tag, 259))
    struct.pack_into("<H", data, size, 0)
    struct.pack_into("<H", data, compression, 50000)
    with pytest.raises(UserError, match="^a.tif: not an image, or cut short"):
        decode(bytes(data), "a.tif")


def test_a_gif_is_not_larger_than_its_bytes_can_tell():
    """A plain picture is what LZW makes the most of."""
    plain = Image.new("L", (2000, 2000), 255)
    data = saved(plain, "GIF")
    np.testing.assert_array_equal(decode_rgb(data, "a.gif"), np.asarray(plain.convert("RGB")))
    claimed = data[:6] + struct.pack("<HH", 30000, 30000) + data[10:]
    with pytest.raises(UserError, match="^a.gif: not an image, or cut short"):
        decode(claimed, "a.gif")


def damaged(data: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Changed bytes near the start, where headers are; and cuts."""
    for number in range(count):
        harmed = bytearray(data)
        for _ in range(1 + number % 3):
            harmed[int(rng.integers(min(len(data), 400)))] = int(rng.choice([0, 1, 255, rng.integers(256)]))
        yield bytes(harmed[: int(rng.integers(1, len(data)))] if number % 5 == 0 else harmed)


FUZZED = {
    case: PILLOW_CASES[case]
    for case in (
        "PNG P key", "WebP RGBA {'lossless': True, 'exact': True}", "TIFF RGB raw",
        "TIFF LA tiff_lzw",
        "TIFF CMYK packbits", "TIFF BigTIFF", "TIFF 4 bits", "BMP P", "BMP OS/2", "BMP 5-6-5", "GIF P",
        "PNM RGB", "PNM I;16", "PNM in words", "JPEG 2000 RGB", "AVIF RGB",
    )
} | {
    "JPEG": saved(picture("RGB"), "JPEG", exif=Image.Exif().tobytes(), dpi=(72, 72)),
    "16-bit planes": by_tifffile(noise(5, 7, 3, depth=np.uint16), True),
    "HEIC": heic(picture("RGB", 16, 16)),
}  # fmt: skip


def survives(tmp_path: Path, case: str, count: int) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "a.bin"
    refused = 0
    for data in damaged(FUZZED[case], count, rng):
        path.write_bytes(data)
        try:
            pixels = read_photo_file(path).image
        except UserError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            with pytest.raises(UserError, match="^key: "):
                decode_rgb(data, "key")
        else:
            np.testing.assert_array_equal(decode_rgb(data, "key"), pixels)
    assert refused


@pytest.mark.parametrize("case", FUZZED)
def test_damage_is_one_line_with_the_name(tmp_path, case):
    survives(tmp_path, case, 40)


@pytest.mark.slow
@pytest.mark.parametrize("case", FUZZED)
def test_much_damage_is_one_line_with_the_name(tmp_path, case):
    survives(tmp_path, case, 1000)
