"""Photos keep what their files carry; Pillow and tifffile are the other readers."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from basicsr.utils.errors import UserError
from basicsr.utils.photo_file import read_photo_file, require_size, write_photo_file

LOSSLESS = [".png", ".tif", ".bmp", ".webp"]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>\xc3\xa4</a></x:xmpmeta>'
PIL_NAMES = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".bmp": "BMP"}


def exif(orientation: int, order: str = "<", xmp: bool = False) -> bytes:
    tags = Image.Exif()
    tags.endian = order
    tags[0x0112] = orientation
    tags[0x010F] = "Maker"
    tags[0x8769] = {0x829A: 0.01, 0x9286: b"ASCII\0\0\0said"}
    if xmp:
        tags[700] = XMP
    tags[0x8825] = {1: "N", 2: (48.0, 8.0, 1.5)}
    return tags.tobytes()[6:]


def noise(*shape: int, depth: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(depth).max, shape, endpoint=True).astype(depth)


def smooth(height: int = 40, width: int = 56) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, rows + columns], -1).astype(np.uint8)


def stored(path: Path) -> np.ndarray:
    """The pixels as they lie in the file."""
    if path.suffix == ".tif":
        return tifffile.imread(path, key=0)
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def save(path: Path, pixels: np.ndarray, orientation: int = 1) -> None:
    """By Pillow in 8 bits, by OpenCV and tifffile in 16; with EXIF, profile and XMP by Pillow."""
    if pixels.dtype == np.uint8:
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        Image.fromarray(pixels).save(
            path,
            PIL_NAMES[path.suffix],
            exif=b"Exif\0\0" + exif(orientation, xmp=path.suffix == ".tif"),
            icc_profile=PROFILE if pixels.ndim == 3 else None,
            xmp=XMP,
            pnginfo=text,
            **(
                {"lossless": True, "exact": True}
                if path.suffix == ".webp"
                else {"quality": 95, "subsampling": 0}
            ),
        )
    elif path.suffix == ".tif":
        alpha = {"extrasamples": ["unassalpha"]} if pixels.shape[2:] == (4,) else {}
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        tags = [(274, "H", 1, orientation, False)]
        tifffile.imwrite(path, pixels, photometric=photometric, extratags=tags, **alpha)
    else:
        order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[sum(pixels.shape[2:]) or 2]
        cv2.imwrite(str(path), pixels if order is None else cv2.cvtColor(pixels, order))


@pytest.mark.parametrize(
    ("suffix", "depth", "channels"),
    [
        (suffix, depth, channels)
        for suffix, depth in [*((suffix, 8) for suffix in LOSSLESS), (".png", 16), (".tif", 16)]
        for channels in (1, 3, 4)
        if (suffix, channels) not in ((".webp", 1), (".bmp", 4))  # which these types do not store
    ],
)
def test_lossless_files_come_back_as_they_were(tmp_path, suffix, depth, channels):
    kind = np.uint8 if depth == 8 else np.uint16
    pixels = noise(9, 7, depth=kind) if channels == 1 else noise(9, 7, channels, depth=kind)
    path, again = tmp_path / f"a{suffix}", tmp_path / "out" / f"b{suffix}"
    if suffix == ".webp" and channels == 4:
        pixels[..., 3] |= 1  # colors that nothing shows may go
    save(path, pixels)
    photo = read_photo_file(path)
    assert (photo.depth, photo.is_gray, photo.is_lossless, photo.notes) == (depth, channels == 1, True, ())
    np.testing.assert_array_equal(photo.image, pixels[..., :3] if channels > 1 else np.dstack([pixels] * 3))
    if channels == 4:
        np.testing.assert_array_equal(photo.alpha, pixels[..., 3])
    else:
        assert photo.alpha is None
    assert write_photo_file(again, photo, photo.image) == []
    back = read_photo_file(again)
    for field in ("depth", "is_gray", "is_lossless", "file_type", "metadata", "notes"):
        assert getattr(back, field) == getattr(photo, field), field
    np.testing.assert_array_equal(back.image, photo.image)
    np.testing.assert_array_equal(back.alpha, photo.alpha)
    assert [item.name for item in again.parent.iterdir()] == [again.name]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_turned_photos_are_upright_in_memory_and_turned_in_the_file(tmp_path, suffix, orientation):
    path, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    save(path, smooth(), orientation)
    photo = read_photo_file(path)
    tags = Image.Exif()
    tags[0x0112] = orientation
    turned = Image.fromarray(smooth())
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned))
    assert photo.metadata.orientation == orientation
    assert photo.image.shape == expected.shape
    np.testing.assert_allclose(photo.image.astype(int), expected, atol=3 if suffix == ".jpg" else 0)
    assert write_photo_file(again, photo, photo.image) == []
    np.testing.assert_allclose(stored(again).astype(int), stored(path), atol=3 if suffix == ".jpg" else 0)
    assert read_photo_file(again).metadata == photo.metadata
    if suffix != ".tif":
        assert photo.metadata.exif == exif(orientation)
    with Image.open(again) as seen:
        assert dict(seen.getexif().get_ifd(0x8769)) == {0x829A: 0.01, 0x9286: b"ASCII\0\0\0said"}
        assert seen.getexif().get_ifd(0x8825)[2] == (48.0, 8.0, 1.5)
        upright = np.asarray(ImageOps.exif_transpose(seen))
    np.testing.assert_allclose(upright.astype(int), expected, atol=4 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("orientation", [3, 5, 6])
def test_turned_16_bit_tiff_with_alpha_is_stored_as_it_was(tmp_path, orientation):
    pixels = noise(6, 9, 4, depth=np.uint16)
    save(tmp_path / "a.tif", pixels, orientation)
    photo = read_photo_file(tmp_path / "a.tif")
    assert write_photo_file(tmp_path / "b.tif", photo, photo.image) == []
    np.testing.assert_array_equal(stored(tmp_path / "b.tif"), pixels)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].tags[274].value == orientation
        assert file.pages[0].tags["ExtraSamples"].value == (2,)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_exif_profile_and_xmp_stay_byte_for_byte_and_others_read_them(tmp_path, suffix):
    path, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    save(path, smooth(), 6)
    photo = read_photo_file(path)
    assert (photo.metadata.icc, photo.metadata.xmp) == (PROFILE, XMP)
    write_photo_file(again, photo, photo.image)
    with Image.open(again) as seen:
        assert seen.info["icc_profile"] == PROFILE
        assert XMP in (seen.info.get("xmp", b""), seen.info.get("XML:com.adobe.xmp", "").encode())
        assert seen.getexif()[0x010F] == "Maker"
        if suffix != ".tif":
            assert seen.info["exif"].removeprefix(b"Exif\0\0") == exif(6)
        seen.load()


def test_16_bit_png_carries_too(tmp_path):
    save(tmp_path / "a.webp", smooth(8, 8), 8)
    carrier = read_photo_file(tmp_path / "a.webp").metadata
    save(tmp_path / "b.tif", noise(8, 6, 3, depth=np.uint16), 1)
    photo = read_photo_file(tmp_path / "b.tif")
    photo = type(photo)(photo.image, None, False, "TIFF", True, carrier, ())
    for name in ("c.png", "c.tif"):
        write_photo_file(tmp_path / name, photo, photo.image)
        back = read_photo_file(tmp_path / name)
        np.testing.assert_array_equal(back.image, photo.image)
        assert (back.metadata.icc, back.metadata.xmp, back.metadata.orientation) == (PROFILE, XMP, 8)
    assert read_photo_file(tmp_path / "c.png").metadata.exif == exif(8)


def test_big_endian_and_broken_exif(tmp_path):
    for number, (data, orientation) in enumerate(
        [(exif(6, ">"), 6), (exif(6)[:12], 1), (b"junk", 1), (exif(9), 1), (exif(6)[:4] + b"\xff" * 30, 1)]
    ):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(smooth()).save(path, exif=b"Exif\0\0" + data)
        photo = read_photo_file(path)
        assert photo.metadata.orientation == orientation
        assert write_photo_file(tmp_path / "out.jpg", photo, photo.image) == []
        assert read_photo_file(tmp_path / "out.jpg").metadata.exif == photo.metadata.exif == data
        lost = (
            []
            if data.startswith(exif(6)) or orientation == 6 or data == exif(9)
            else ["EXIF dropped for TIFF"]
        )
        assert write_photo_file(tmp_path / "out.tif", photo, photo.image) == lost
        assert read_photo_file(tmp_path / "out.tif").metadata.orientation == orientation


def test_jpeg_is_close_and_has_full_color_resolution(tmp_path):
    save(tmp_path / "a.jpg", smooth())
    photo = read_photo_file(tmp_path / "a.jpg")
    changed = photo.image.copy()
    changed[8:16, 8:16] = (255, 0, 0)
    write_photo_file(tmp_path / "b.jpg", photo, changed)
    back = read_photo_file(tmp_path / "b.jpg")
    assert np.abs(back.image.astype(int) - changed).mean() < 1
    with Image.open(tmp_path / "b.jpg") as seen:
        assert [layer[1:3] for layer in seen.layer] == [(1, 1)] * 3
    write_photo_file(tmp_path / "c.jpg", photo, changed, quality=30)
    assert (tmp_path / "c.jpg").stat().st_size < (tmp_path / "b.jpg").stat().st_size


def test_gray_jpeg_stays_gray(tmp_path):
    save(tmp_path / "a.jpg", smooth()[..., 0])
    photo = read_photo_file(tmp_path / "a.jpg")
    assert photo.is_gray
    assert write_photo_file(tmp_path / "b.jpg", photo, photo.image) == []
    assert Image.open(tmp_path / "b.jpg").mode == "L"


def test_luma_of_gray_is_kept_exactly_in_both_depths(tmp_path):
    for kind in (np.uint8, np.uint16):
        levels = np.arange(np.iinfo(kind).max + 1, dtype=kind).reshape(16, -1)
        save(tmp_path / "a.png", levels)
        photo = read_photo_file(tmp_path / "a.png")
        write_photo_file(tmp_path / "b.png", photo, photo.image)
        np.testing.assert_array_equal(stored(tmp_path / "b.png"), levels)


def test_conversions_say_what_they_cost(tmp_path):
    save(tmp_path / "a.png", noise(8, 6, 4, depth=np.uint16))
    deep = read_photo_file(tmp_path / "a.png")
    assert write_photo_file(tmp_path / "a.jpg", deep, deep.image) == [
        "16 bits rounded to 8 for JPEG",
        "alpha dropped for JPEG",
    ]
    assert write_photo_file(tmp_path / "a.bmp", deep, deep.image) == [
        "16 bits rounded to 8 for BMP",
        "alpha dropped for BMP",
    ]
    rounded = read_photo_file(tmp_path / "a.bmp")
    np.testing.assert_array_equal(rounded.image, (deep.image.astype(int) + 128) // 257)
    assert write_photo_file(tmp_path / "a.webp", deep, deep.image) == ["16 bits rounded to 8 for WebP"]
    np.testing.assert_array_equal(
        read_photo_file(tmp_path / "a.webp").alpha, (deep.alpha.astype(int) + 128) // 257
    )
    assert write_photo_file(tmp_path / "a.tif", deep, deep.image) == []

    save(tmp_path / "b.jpg", smooth(), 6)
    turned = read_photo_file(tmp_path / "b.jpg")
    assert write_photo_file(tmp_path / "b.bmp", turned, turned.image) == [
        "EXIF dropped for BMP",
        "ICC profile dropped for BMP",
        "XMP dropped for BMP",
    ]
    np.testing.assert_array_equal(stored(tmp_path / "b.bmp"), turned.image)  # nothing says it is turned
    for name in ("b.png", "b.webp", "b.tif"):
        assert write_photo_file(tmp_path / name, turned, turned.image, quality=100) == []
        assert np.abs(read_photo_file(tmp_path / name).image.astype(int) - turned.image).mean() < 2

    Image.fromarray(noise(8, 6, 2)).save(tmp_path / "c.png")
    gray = read_photo_file(tmp_path / "c.png")
    assert gray.is_gray and gray.alpha is not None
    assert write_photo_file(tmp_path / "d.png", gray, gray.image) == [
        "gray with alpha stored as equal colors in PNG"
    ]
    save(tmp_path / "e.png", smooth()[..., 0])
    gray = read_photo_file(tmp_path / "e.png")
    assert write_photo_file(tmp_path / "e.webp", gray, gray.image) == ["gray stored as equal colors in WebP"]


def test_exif_too_long_for_a_jpeg_is_dropped_and_the_photo_upright(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    tags[0x010E] = "x" * 70000
    Image.fromarray(smooth()).save(tmp_path / "a.png", exif=tags)
    photo = read_photo_file(tmp_path / "a.png")
    assert write_photo_file(tmp_path / "a.jpg", photo, photo.image) == ["EXIF dropped for JPEG"]
    assert stored(tmp_path / "a.jpg").shape == photo.image.shape == (56, 40, 3)
    assert write_photo_file(tmp_path / "b.png", photo, photo.image) == []


def test_profile_of_many_segments_survives_a_jpeg(tmp_path):
    profile = PROFILE + noise(200_000).tobytes()
    Image.fromarray(smooth()).save(tmp_path / "a.png", icc_profile=profile)
    photo = read_photo_file(tmp_path / "a.png")
    write_photo_file(tmp_path / "a.jpg", photo, photo.image)
    assert read_photo_file(tmp_path / "a.jpg").metadata.icc == profile
    assert Image.open(tmp_path / "a.jpg").info["icc_profile"] == profile


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_rgb_with_a_note(tmp_path, suffix):
    inks = bytearray(PROFILE)
    inks[16:20] = b"CMYK"
    Image.fromarray(smooth()).convert("CMYK").save(tmp_path / f"a{suffix}", icc_profile=bytes(inks))
    photo = read_photo_file(tmp_path / f"a{suffix}")
    assert photo.notes == ("CMYK converted to RGB without its profile",)
    assert photo.alpha is None
    assert np.abs(photo.image.astype(int) - smooth()).mean() < 4
    (note,) = write_photo_file(tmp_path / f"b{suffix}", photo, photo.image)
    assert note.startswith("ICC profile for CMYK colors dropped for ")


def test_straight_alpha_of_tiff_leaves_colors_alone(tmp_path):
    for mode, pixels in (("RGBA", noise(8, 6, 4)), ("LA", noise(8, 6, 2))):
        Image.fromarray(pixels).save(tmp_path / f"{mode}.tif")
        photo = read_photo_file(tmp_path / f"{mode}.tif")
        np.testing.assert_array_equal(photo.alpha, pixels[..., -1])
        colors = pixels[..., :3] if mode == "RGBA" else np.dstack([pixels[..., 0]] * 3)
        np.testing.assert_array_equal(photo.image, colors)


@pytest.mark.parametrize(("masks", "is_read"), [((0xF800, 0x7E0, 0x1F), True), ((0xF80, 0x60, 0x1F), False)])
def test_bits_of_a_bmp_that_are_not_read_are_the_cause(tmp_path, masks, is_read: bool):
    """Bit fields 5-6-5 and 5-2-5 of white pixels."""
    pixels = np.full((4, 6), masks[0] | masks[1] | masks[2], "<u2")
    head = struct.pack("<IiiHHIIiiII", 40, 6, -4, 1, 16, 3, pixels.nbytes, 0, 0, 0, 0) + struct.pack(
        "<3I", *masks
    )
    start = struct.pack("<2sIHHI", b"BM", 66 + pixels.nbytes, 0, 0, 66)
    (tmp_path / "a.bmp").write_bytes(start + head + pixels.tobytes())
    if is_read:
        assert (read_photo_file(tmp_path / "a.bmp").image == 255).all()
    else:
        with pytest.raises(
            UserError, match="a.bmp: its colors have an unsupported number of bits .*; save it as PNG"
        ):
            read_photo_file(tmp_path / "a.bmp")


def test_alpha_that_a_bmp_declares_is_read(tmp_path):
    pixels = noise(3, 5, 4)
    masks = struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)  # red, green, blue, alpha
    head = struct.pack("<IiiHHIIiiII", 108, 5, -3, 1, 32, 3, pixels.nbytes, 0, 0, 0, 0) + masks + bytes(52)
    start = struct.pack("<2sIHHI", b"BM", 122 + pixels.nbytes, 0, 0, 122)
    (tmp_path / "a.bmp").write_bytes(start + head + pixels.tobytes())
    photo = read_photo_file(tmp_path / "a.bmp")
    np.testing.assert_array_equal(photo.image, pixels[..., :3])
    np.testing.assert_array_equal(photo.alpha, pixels[..., 3])
    assert write_photo_file(tmp_path / "b.bmp", photo, photo.image) == ["alpha dropped for BMP"]
    (tmp_path / "cut.bmp").write_bytes((start + head + pixels.tobytes())[:-9])
    with pytest.raises(UserError, match="cut.bmp: not an image, or cut short"):
        read_photo_file(tmp_path / "cut.bmp")


def test_palettes_and_bits_become_channels(tmp_path):
    picture = Image.fromarray(smooth()).convert("P")
    for suffix in (".png", ".bmp", ".tif"):
        picture.save(tmp_path / f"p{suffix}")
        photo = read_photo_file(tmp_path / f"p{suffix}")
        np.testing.assert_array_equal(photo.image, np.asarray(picture.convert("RGB")))
        assert not photo.is_gray
        picture.convert("1").save(tmp_path / f"b{suffix}")
        bits = read_photo_file(tmp_path / f"b{suffix}")
        assert bits.is_gray
        np.testing.assert_array_equal(bits.image[..., 0], np.asarray(picture.convert("1")) * 255)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_of_several_pictures_the_first_is_taken_with_a_note(tmp_path, suffix):
    frames = [Image.fromarray(np.full((8, 9, 3), level, np.uint8)) for level in (40, 200)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    photo = read_photo_file(tmp_path / f"a{suffix}")
    (note,) = photo.notes
    assert "the first picture is taken" in note
    assert photo.image.shape == (8, 9, 3) and (photo.image == 40).all()
    write_photo_file(tmp_path / f"b{suffix}", photo, photo.image)
    assert read_photo_file(tmp_path / f"b{suffix}").notes == ()


def test_film_behind_a_phone_jpeg_is_no_damage_but_a_cut_jpeg_is(tmp_path):
    save(tmp_path / "a.jpg", smooth())
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(data + bytes(5000))
    np.testing.assert_array_equal(
        read_photo_file(tmp_path / "b.jpg").image, read_photo_file(tmp_path / "a.jpg").image
    )
    thumbnail = b"Exif\0\0" + exif(1) + data  # an end marker before the pixels
    whole = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    (tmp_path / "c.jpg").write_bytes(whole)
    read_photo_file(tmp_path / "c.jpg")
    (tmp_path / "c.jpg").write_bytes(whole[:-200])
    with pytest.raises(UserError, match="c.jpg: .*cut short"):
        read_photo_file(tmp_path / "c.jpg")


@pytest.mark.parametrize("size", [(1, 1), (17, 5000), (5000, 17)])
@pytest.mark.parametrize("suffix", PIL_NAMES)
def test_every_size(tmp_path, suffix, size):
    pixels = noise(*size, 3)
    save(tmp_path / f"a{suffix}", pixels, 6)
    photo = read_photo_file(tmp_path / f"a{suffix}")
    write_photo_file(tmp_path / f"b{suffix}", photo, photo.image)
    assert stored(tmp_path / f"b{suffix}").shape == pixels.shape
    assert read_photo_file(tmp_path / f"b{suffix}").image.shape == photo.image.shape


def test_side_too_long_for_the_type_is_refused(tmp_path):
    save(tmp_path / "a.png", noise(1, 20000, 3))
    photo = read_photo_file(tmp_path / "a.png")
    with pytest.raises(UserError, match="a.webp: WebP holds 16383 pixels per side, not 20000 x 1"):
        write_photo_file(tmp_path / "a.webp", photo, photo.image)
    assert not (tmp_path / "a.webp").exists()


def test_large_picture_costs_few_copies_and_no_warning(tmp_path):
    """Pillow would warn of 100 million pixels; the arrays are counted, not the process."""
    pixels = np.zeros((10000, 10000), np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracemalloc.start()
        photo = read_photo_file(path)
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        write_photo_file(tmp_path / "b.png", photo, photo.image)
        writing = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert photo.image.nbytes <= reading <= 2 * photo.image.nbytes
    assert writing <= 3 * photo.image.nbytes


@pytest.mark.parametrize("suffix", PIL_NAMES)
def test_cut_files_are_one_line_with_the_name(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", noise(40, 40, 3))
    data = (tmp_path / f"a{suffix}").read_bytes()
    for length in (0, 1, 12, len(data) // 2):
        (tmp_path / f"cut{suffix}").write_bytes(data[:length])
        with pytest.raises(UserError, match=f"cut{suffix}: .*replace the file$") as raised:
            read_photo_file(tmp_path / f"cut{suffix}")
        assert "\n" not in str(raised.value)


def test_other_things_are_one_line_with_the_name(tmp_path):
    with pytest.raises(UserError, match="none.png: cannot be read"):
        read_photo_file(tmp_path / "none.png")
    with pytest.raises(UserError, match="cannot be read"):
        read_photo_file(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match="text.png: not an image"):
        read_photo_file(tmp_path / "text.png")
    for kind in (np.float16, np.float32, np.uint32, np.int16):
        tifffile.imwrite(tmp_path / "f.tif", smooth().astype(kind), photometric="rgb")
        with pytest.raises(UserError, match="f.tif: .*(not supported|replace the file)"):
            read_photo_file(tmp_path / "f.tif")
    save(tmp_path / "a.png", smooth())
    photo = read_photo_file(tmp_path / "a.png")
    with pytest.raises(UserError, match="a.gif: cannot write photos as '.gif'"):
        write_photo_file(tmp_path / "a.gif", photo, photo.image)
    with pytest.raises(ValueError, match="image is uint16"):
        write_photo_file(tmp_path / "b.png", photo, photo.image.astype(np.uint16))
    with pytest.raises(ValueError, match="the photo"):
        write_photo_file(tmp_path / "b.png", photo, photo.image[1:])


def test_type_is_told_by_content_not_by_name(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(smooth()).save(buffer, "PNG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert read_photo_file(tmp_path / "a.jpg").file_type == "PNG"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".tiff", ".bmp"])
def test_a_photo_may_have_the_longest_name(tmp_path, suffix: str):
    path = tmp_path / ("x" * (255 - len(suffix)) + suffix)
    save(tmp_path / "a.png", smooth())
    photo = read_photo_file(tmp_path / "a.png")
    write_photo_file(path, photo, photo.image)
    assert read_photo_file(path).image.shape == photo.image.shape
    assert {found.name for found in tmp_path.iterdir()} == {"a.png", path.name}


@pytest.mark.parametrize(
    ("name", "longest"), [("a.jpg", 65_500), ("a.jpeg", 65_500), ("a.webp", 16_383), ("a.png", None)]
)
def test_the_longest_side_of_a_type(name: str, longest: int | None):
    for height, width in ((1, longest or 1 << 20), (longest or 1 << 20, 1)):
        require_size(Path(name), height, width)
    if longest is not None:
        with pytest.raises(
            UserError, match=f"^{name}: .* holds {longest} pixels per side, not {longest + 1} x"
        ):
            require_size(Path(name), 1, longest + 1)
