"""Encoded images -> pixels: what each file type means, decided once for data sets and photos alike.

* Of several pages, frames or pictures the first is taken; of a HEIC the one that it calls primary.
* Pixels are upright: turned by EXIF, by the tag of a TIFF, by the boxes of AVIF and HEIC (whose EXIF does not
  turn, by their specifications).
* Colors are those of the file, without its profile. Inks (CMYK) become RGB, palettes are looked up,
  premultiplied alpha becomes straight.
* 1 to 7 bits become 8, and 9 to 15 bits 16, so that the largest value stays the largest.

OpenCV reads what it reads correctly, as it is fast and keeps 16 bits; simplejpeg reads JPEGs, as it reports
damage; Pillow reads the rest, and tifffile those few TIFFs that neither can.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import COMPRESSION, PHOTOMETRIC

from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.photo_metadata import (
    JPEG_FRAMES,
    Header,
    bmp_layout,
    jpeg_orientation,
    jpeg_segments,
    png_chunks,
    read_bmp,
    read_from_pillow,
    read_jpeg,
    read_png,
    read_tiff,
    read_webp,
    webp_size,
)
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit

Array = NDArray[Any]
# EXIF orientation -> rows and columns change places, then rows are reversed, then columns.
_TURNS = {
    1: (False, False, False), 2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip
_PNM_NUMBERS = re.compile(rb"P[1-6]" + 3 * rb"(?:\s|#[^\n]*\n)+(\d{1,10})")
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_2000, _CODESTREAM = b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_RAW, _LZW, _PACKBITS, _DEFLATE = 1, 5, 32773, (8, 32946)  # compressions of TIFF
# Bytes that a byte can stand for, at most: strings of LZW, with 12 bits each; deflate (zlib); PackBits.
_MOST_OF_LZW, _MOST_OF_DEFLATE, _MOST_OF_PACKBITS = 4096, 1032, 64
_MOST_OF_TIFF = {
    _RAW: 1, _LZW: _MOST_OF_LZW, _PACKBITS: _MOST_OF_PACKBITS, **dict.fromkeys(_DEFLATE, _MOST_OF_DEFLATE),
}  # fmt: skip
_SEQUENTIAL, _SCAN = {0xC0, 0xC1}, 0xDA  # markers of JPEG: frames without progression, and pixels
_ALL_COEFFICIENTS = b"\x00\x3f\x00"
_ARITHMETIC = range(0xC9, 0xD0)  # frames of JPEG without Huffman codes
# Pixels that a byte of a JPEG can stand for: each block of 64 has a Huffman code of at least one bit, in one
# component that is halved at most.
_MOST_OF_JPEG = 1024
_BAND = 1 << 20  # pixels
_ROUNDED = "more than 8 bits rounded to 8"
_limit_of_pillow = threading.Lock()


class Decoded(NamedTuple):
    """An image with everything that its file states.

    Attributes:
        file_type: PNG, JPEG, WebP, TIFF, BMP, GIF, PNM, JPEG 2000, AVIF or HEIC, by content.
        pixels: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, upright.
        header: what lies around the pixels; its orientation is that of the stored pixels.
    """

    file_type: str
    pixels: Array
    header: Header


class _Stored(NamedTuple):
    """Pixels as a decoder gives them.

    Attributes:
        pixels: as in `Decoded`, except for the orientation.
        orientation: the remaining turn, 1 to 8 as in EXIF.
        header: if the decoder of the pixels has read it, too.
        notes: what the pixels have lost.
    """

    pixels: Array
    orientation: int = 1
    header: Header | None = None
    notes: tuple[str, ...] = ()


def decode(data: bytes, name: str, limit: PixelLimit = OF_PHOTOS) -> Array:
    """Encoded image -> (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, upright.

    Args:
        name: file or key, for the error.
        limit: on the pixels that its header declares.

    Raises:
        UserError: no image of a supported type, damaged, cut short, neither 8 nor 16 bits per channel,
            or larger than ``limit`` or memory; or a HEIC, for which the package pillow-heif is missing.
    """
    stored = _by_decoder(_DECODERS[_file_type(data, name)], data, name, limit)
    return upright(stored.pixels, stored.orientation)


def is_palette_png(data: bytes) -> bool:
    """Whether encoded bytes are a PNG whose pixels are indices of a palette."""
    return data.startswith(_PNG) and data[25:26] == b"\x03"


def decode_indices(data: bytes, name: str, limit: PixelLimit = OF_PHOTOS) -> Array:
    """PNG with a palette of 1, 2, 4 or 8 bits -> its indices, uint8 (H, W), upright.

    Raises:
        UserError: as in `decode`.
    """
    stored = _by_decoder(_decode_png_indices, data, name, limit)
    return upright(stored.pixels, stored.orientation)


def decode_photo(data: bytes, name: str, limit: PixelLimit = OF_PHOTOS) -> Decoded:
    """`decode`, with everything else that the file states.

    Raises:
        UserError: as in `decode`.
    """
    file_type = _file_type(data, name)
    stored = _by_decoder(_DECODERS[file_type], data, name, limit)
    header = stored.header or _HEADERS[file_type](data)
    header = replace(header, notes=(*header.notes, *stored.notes))
    return Decoded(file_type, upright(stored.pixels, stored.orientation), header)


def upright(stored: Array, orientation: int) -> Array:
    """Turn stored pixels (H, W, ..) by an EXIF orientation of 1 to 8."""
    transpose, rows, columns = _TURNS[orientation]
    turned = stored.swapaxes(0, 1) if transpose else stored
    return np.ascontiguousarray(turned[:: -1 if rows else 1, :: -1 if columns else 1])


def as_stored(image: Array, orientation: int) -> Array:
    """The inverse of `upright`."""
    transpose, rows, columns = _TURNS[orientation]
    turned = image[:: -1 if rows else 1, :: -1 if columns else 1]
    return np.ascontiguousarray(turned.swapaxes(0, 1) if transpose else turned)


def _file_type(data: bytes, name: str) -> str:
    if data.startswith(_PNG):
        return "PNG"
    if data.startswith(b"\xff\xd8"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if data.startswith(b"BM"):
        return "BMP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if re.match(rb"P[1-6][\s#]", data):
        return "PNM"
    if data.startswith((_JPEG_2000, _CODESTREAM)):
        return "JPEG 2000"
    if data[4:8] == b"ftyp":
        # Brands: the major one, a version, and the compatible ones.
        brands = data[8 : int.from_bytes(data[:4], "big")]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if brands.startswith((b"hei", b"hev", b"mif1", b"msf1")):
            return "HEIC"
    *others, last = _DECODERS
    raise UserError(
        f"{name}: not an image of a type that is read ({', '.join(others)}, {last}); replace the file"
    )


def _by_decoder(decoder: _Decoder, data: bytes, name: str, limit: PixelLimit) -> _Stored:
    try:
        return decoder(data, name, limit)
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{name}: too large for the memory; restore or train on a part of it") from error
    except Exception as error:  # decoders raise errors of any kind for damaged bytes
        raise UserError(f"{name}: not an image, or cut short; replace the file") from error


def _decode_png(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    return _Stored(_by_opencv(_pixel_chunks(data, name, limit), name), read_png(data).metadata.orientation)


def _decode_png_indices(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    picture = _by_pillow(PngImageFile, _pixel_chunks(data, name, limit), name, limit)
    return _Stored(np.array(picture), read_png(data).metadata.orientation)


def _pixel_chunks(data: bytes, name: str, limit: PixelLimit) -> bytes:
    """A PNG reduced to its pixels, as decoders take memory for what its chunks declare.

    OpenCV leaves out the picture before the frames of an animation that does not count it as one.
    """
    width, height, depth, color_type = struct.unpack_from(">IIBB", data, 16)
    limit.check(width, height, name)
    chunks = list(png_chunks(data))
    if any(end > len(data) for _, _, end in chunks):
        raise ValueError("cut short")
    _check_room(width * height * depth * _PNG_CHANNELS.get(color_type, 1) // 8, data)
    pixels = [data[start - 8 : end + 4] for chunk, start, end in chunks if chunk in _PNG_PIXELS]
    return data[:8] + b"".join(pixels)


def _decode_jpeg(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    _check_jpeg_size(data, name, limit)
    pixels = _by_turbojpeg(data, name)
    if pixels is None:
        _check_jpeg_end(data, name)
        pixels = _by_opencv(data, name)
    return _Stored(pixels, jpeg_orientation(data))


def _check_jpeg_size(data: bytes, name: str, limit: PixelLimit) -> None:
    frames = [segment for segment in jpeg_segments(data) if segment[0] in JPEG_FRAMES]
    sizes = [struct.unpack_from(">HH", data, start + 1) for _, start, _ in frames]
    with suppress(ValueError, KeyError):  # of headers that only OpenCV takes
        sizes.append(simplejpeg.decode_jpeg_header(data)[:2])
    if not sizes:
        raise ValueError("no size")
    for height, width in sizes:
        limit.check(width, height, name)
        if not any(marker in _ARITHMETIC for marker, _, _ in frames):
            _check_room(width * height, data, _MOST_OF_JPEG)


def _decode_webp(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    width, height = webp_size(data)
    limit.check(width, height, name)
    return _Stored(_by_opencv(data, name), read_webp(data).metadata.orientation)


def _check_jpeg_end(data: bytes, name: str) -> None:
    """OpenCV silently fills the missing part of a JPEG with gray."""
    # The end marker comes after the start of the pixels; phones append films and depth maps to it.
    scan = max((end for _, _, end in jpeg_segments(data)), default=0)
    if data.rfind(b"\xff\xd9", scan) < 0:
        raise UserError(f"{name}: the JPEG is cut short; replace the file")


def _decode_bmp(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    """Pillow reads all kinds; OpenCV looks up OS/2 palettes, scales 5 bits and reads alpha in other ways."""
    width, height, bits, is_packed = bmp_layout(data)
    limit.check(width, height, name)
    if not is_packed:
        _check_room(width * height * bits // 8, data, 1)
    is_plain = int.from_bytes(data[14:18], "little") >= 40 and bits == 24
    if is_plain:
        return _Stored(_by_opencv(data, name))
    try:
        picture = _by_pillow(BmpImageFile, data, name, limit)
    except OSError as error:
        if "bitfields" not in str(error):
            raise
        what = "its colors have an unsupported number of bits (5-5-5, 5-6-5 and 8-8-8 are read)"
        raise UserError(f"{name}: {what}; save it as PNG") from error
    return _Stored(_pixels_of(picture, name))


def _decode_gif(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    width, height = struct.unpack_from("<HH", data, 6)
    _check_room(width * height, data, _MOST_OF_LZW)
    return _with_header(_by_pillow(GifImageFile, data, name, limit), "GIF", name)


def _decode_pnm(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    """Pillow rounds colors of 16 bits to 8, OpenCV does not scale by the largest value."""
    numbers = _PNM_NUMBERS.match(data)
    if numbers:
        width, height = int(numbers[1]), int(numbers[2])
        limit.check(width, height, name)
        _check_room(width * height, data, 8 if data[1:2] == b"4" else 1)
    largest = int(numbers[3]) if numbers else 1
    if data[:2] in (b"P3", b"P6") and 255 < largest <= 65535:
        return _Stored(_full_range(_by_opencv(data, name), largest), header=read_from_pillow({}, "PNM"))
    return _with_header(_by_pillow(PpmImageFile, data, name, limit), "PNM", name)


def _decode_jpeg_2000(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    """Pillow rounds colors of more than 8 bits to 8; OpenCV reads 16 bits, but no gray with alpha."""
    size = data.find(_CODESTREAM)
    channels, bits = data[size + 41], (data[size + 42] & 0x7F) + 1
    picture = _by_pillow(Jpeg2KImageFile, data, name, limit)
    stored = _with_header(picture, "JPEG 2000", name)
    if bits == 16 and channels in (3, 4):
        return stored._replace(pixels=_by_opencv(data, name))
    return stored._replace(notes=(_ROUNDED,)) if bits > 8 and channels > 1 else stored


def _decode_avif(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    stored = _with_header(_by_pillow(AvifImageFile, data, name, limit), "AVIF", name)
    flags = data.find(b"av1C") + 6  # AV1 in ISOBMFF, section 2.3
    return stored._replace(notes=(_ROUNDED,)) if data[flags] & 0x40 else stored


def _decode_heic(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    heif = optional_import("pillow_heif", f"{name}: reading HEIC", "pip install sam-deblur[heic]")
    picture = heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    width, height = picture.size
    limit.check(width, height, name)
    heif.set_orientation(picture.info)  # its pixels are upright already
    pixels = np.array(picture)
    if pixels.dtype == np.uint16:
        pixels = _from_shifted(pixels, picture.info["bit_depth"])
    if picture.mode.startswith("RGBa"):
        pixels = _straight(pixels)
    header = read_from_pillow(
        picture.info,
        "HEIC",
        is_gray=pixels.ndim == 2,
        more="further pictures" if len(picture) > 1 else "",
    )
    return _Stored(pixels, header=header)


def _decode_tiff(data: bytes, name: str, limit: PixelLimit) -> _Stored:
    """The first page, by the decoder that reads its kind correctly.

    OpenCV reads 8-bit alpha premultiplied, inks as if they were alpha, planes of 16 bits wrongly and small
    tiles not at all; Pillow rounds 16-bit colors to 8, and reads neither CIELAB nor big-endian BigTIFF.
    """
    page = _tiff_page(data)
    bits, channels, colors = page.bitspersample, page.samplesperpixel, PHOTOMETRIC(page.photometric)
    if page.sampleformat not in (1, 4) or bits > 16:  # neither whole numbers nor untyped ones
        raise UserError(_unsupported(page.dtype, name))
    limit.check(page.imagewidth, page.imagelength, name)
    if page.compression in _MOST_OF_TIFF:
        decoded = page.imagewidth * page.imagelength * channels * bits // 8
        _check_room(decoded, data, _MOST_OF_TIFF[page.compression])
    in_planes = page.planarconfig == 2 and channels > 1
    is_ink = colors == PHOTOMETRIC.SEPARATED
    is_simple = colors in (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)
    for_pillow = bits <= 8 or is_ink or (bits == 16 and channels == 1 and is_simple)
    pillow_opens = not data.startswith(b"MM\0+") and not (in_planes and channels == 2)
    if for_pillow and pillow_opens and colors != PHOTOMETRIC.CIELAB:
        pixels = _pixels_of(_by_pillow(TiffImageFile, data, name, limit), name)
        if bits == 16 and colors == PHOTOMETRIC.MINISWHITE:  # which Pillow does for 8 bits alone
            pixels = ~pixels
        return _Stored(pixels, notes=(_ROUNDED,) if is_ink and bits > 8 else ())
    if channels > 4 or not (is_simple or (bits <= 8 and channels == 3)):
        kind = f"a {bits}-bit TIFF with {channels} channels of {colors.name} colors"
        raise UserError(f"{name}: {kind} is not supported; save it as RGB or gray")
    opencv_reads = (1, 3) if bits <= 8 else (1,) if in_planes else (1, 3, 4)
    if channels in opencv_reads and page.compression in (_RAW, _LZW, _PACKBITS, *_DEFLATE):
        stored = _Stored(_by_opencv(data, name))
    else:
        stored = _by_tifffile(page, in_planes, name)
    pixels = stored.pixels
    if bits > 8:
        pixels = _from_shifted(pixels, bits)
        pixels = ~pixels if colors == PHOTOMETRIC.MINISWHITE else pixels
    if pixels.ndim == 3 and pixels.shape[2] == 4 and page.extrasamples:
        extra = int(page.extrasamples[0])  # 0: unspecified; 1: premultiplied alpha; 2: alpha
        pixels = pixels[..., :3] if extra == 0 else _straight(pixels) if extra == 1 else pixels
    return stored._replace(pixels=pixels)


_Decoder = Callable[[bytes, str, PixelLimit], _Stored]
_DECODERS: dict[str, _Decoder] = {
    "PNG": _decode_png, "JPEG": _decode_jpeg, "WebP": _decode_webp, "TIFF": _decode_tiff, "BMP": _decode_bmp,
    "GIF": _decode_gif, "PNM": _decode_pnm, "JPEG 2000": _decode_jpeg_2000, "AVIF": _decode_avif,
    "HEIC": _decode_heic,
}  # fmt: skip
_HEADERS: dict[str, Callable[[bytes], Header]] = {
    "PNG": read_png, "JPEG": read_jpeg, "WebP": read_webp, "TIFF": read_tiff, "BMP": read_bmp,
}  # fmt: skip


def _by_opencv(data: bytes, name: str) -> Array:
    # The error here names the file; OpenCV would print a second one that does not.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    set_log_level(0)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("not decoded")
    if image.dtype not in (np.uint8, np.uint16):
        raise UserError(_unsupported(image.dtype, name))
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def _by_turbojpeg(data: bytes, name: str) -> Array | None:
    """The pixels of a JPEG as stored; None for inks, and for headers that it does not take.

    It has the decoder of OpenCV, which gives the same pixels, but it passes on the decoder's warnings.

    Raises:
        UserError: a part of the picture is damaged or missing.
    """
    try:
        _, _, colors, _ = simplejpeg.decode_jpeg_header(data)
    except (ValueError, KeyError):
        return None
    order = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}.get(colors, "RGB")
    try:
        pixels: Array = simplejpeg.decode_jpeg(_with_plain_scan(data), order)
    except ValueError as error:
        hint = "if it looks right, save it again, else replace the file"
        raise UserError(f"{name}: the JPEG is damaged or cut short ({error}); {hint}") from error
    if order == "CMYK":
        return None
    return pixels[..., 0] if order == "GRAY" else pixels


def _with_plain_scan(data: bytes) -> bytes:
    """A sequential JPEG whose scan declares all coefficients, as T.81, B.2.3 requires.

    Some cameras write other values. Decoders do not need them, but warn, and then not of what follows.
    """
    segments = list(jpeg_segments(data))
    marker, _, scan = segments[-1]
    is_sequential = marker == _SCAN and any(frame in _SEQUENTIAL for frame, _, _ in segments)
    if not is_sequential or data[scan - 3 : scan] == _ALL_COEFFICIENTS:
        return data
    return data[: scan - 3] + _ALL_COEFFICIENTS + data[scan:]


def _by_pillow(
    opener: type[ImageFile.ImageFile], data: bytes, name: str, limit: PixelLimit
) -> ImageFile.ImageFile:
    """The loaded first picture of a file; not by `Image.open`, which refuses large ones."""
    try:
        return _loaded(opener, data, name, limit)
    except Image.DecompressionBombError:
        # It also refuses large tiles, with no other way around.
        with _limit_of_pillow:
            usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return _loaded(opener, data, name, limit)
            finally:
                Image.MAX_IMAGE_PIXELS = usual


def _loaded(
    opener: type[ImageFile.ImageFile], data: bytes, name: str, limit: PixelLimit
) -> ImageFile.ImageFile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = opener(io.BytesIO(data), name)
        limit.check(*picture.size, name)
        picture.load()
    return picture


def _with_header(picture: ImageFile.ImageFile, file_type: str, name: str) -> _Stored:
    pixels = _pixels_of(picture, name)
    more = "further pictures" if getattr(picture, "n_frames", 1) > 1 else ""
    header = read_from_pillow(picture.info, file_type, picture.mode in ("1", "L", "LA", "I", "I;16"), more)
    return _Stored(pixels, header.metadata.orientation, header)


def _pixels_of(picture: Image.Image, name: str) -> Array:
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and isinstance(picture, PpmImageFile)):
        return np.asarray(picture).astype(np.uint16)
    if mode in ("I", "F", "LAB"):
        raise UserError(_unsupported(mode, name))
    if picture.has_transparency_data:
        return _converted(picture, "RGBA")
    return _converted(picture, "L" if mode in ("1", "L") else "RGB")


def _converted(picture: Image.Image, mode: Literal["L", "RGB", "RGBA"]) -> Array:
    """uint8 (H, W) or (H, W, C), in bands: at once Pillow would hold four copies."""
    width, height = picture.size
    pixels = np.empty((height, width) if mode == "L" else (height, width, len(mode)), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, width, bottom)).convert(mode))
    return pixels


def _tiff_page(data: bytes) -> tifffile.TiffPage:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # the error here names the file
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    assert isinstance(page, tifffile.TiffPage)
    return page


def _by_tifffile(page: tifffile.TiffPage, in_planes: bool, name: str) -> _Stored:
    tag = page.tags.get(274)
    orientation = tag.value if tag and tag.value in _TURNS else 1
    try:
        read = page.asarray()
    except ValueError as error:  # for most compressions it needs more packages
        what = f"a {page.bitspersample}-bit TIFF of {page.samplesperpixel} channels"
        how = f"{'in planes, ' if in_planes else ''}{COMPRESSION(page.compression).name}"
        raise UserError(
            f"{name}: {what} ({how}) is not supported, or damaged; save it without compression"
        ) from error
    channels = page.samplesperpixel
    pixels = (
        read.reshape(channels, page.imagelength, page.imagewidth).transpose(1, 2, 0) if in_planes else read
    )
    pixels = pixels.astype(f"u{pixels.itemsize}")  # in the byte order of the machine
    return _Stored(pixels[..., [0, 0, 0, 1]] if channels == 2 else pixels, orientation)


def _check_room(decoded: int, data: bytes, most: int = _MOST_OF_DEFLATE) -> None:
    """Detect a damaged size before memory is filled for it.

    Args:
        decoded: bytes of all pixels.
        most: bytes that the compression can make of one.
    """
    if decoded > most * len(data):
        raise ValueError("cut short")


def _unsupported(kind: object, name: str) -> str:
    return f"{name}: pixels of type {kind} are not supported; save it with 8 or 16 bits per channel"


def _from_shifted(pixels: Array, bits: int) -> Array:
    """Values of 9 to 16 bits in the upper bits of uint16 -> uint16 with 65535 for the largest."""
    return pixels if bits == 16 else _full_range(pixels >> (16 - bits), (1 << bits) - 1)


def _full_range(pixels: Array, largest: int) -> Array:
    """Values of 0 to ``largest`` -> uint16, rounded."""
    scaled = (pixels.astype(np.uint32) * 65535 + largest // 2) // largest
    return scaled.clip(0, 65535).astype(np.uint16)


def _straight(pixels: Array) -> Array:
    """RGBA with colors that are multiplied by alpha -> without, rounded; 0 where alpha is 0."""
    largest = int(np.iinfo(pixels.dtype).max)
    alpha = pixels[..., 3:].astype(np.uint64)
    colors = (pixels[..., :3].astype(np.uint64) * largest + alpha // 2) // np.maximum(alpha, 1)
    return np.dstack([np.where(alpha > 0, colors.clip(0, largest), 0).astype(pixels.dtype), pixels[..., 3]])
