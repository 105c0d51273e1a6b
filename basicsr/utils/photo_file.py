"""Photo files with everything they carry: depth, alpha, gray, orientation, and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from basicsr.utils.decode import as_stored, decode_photo
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_atomically
from basicsr.utils.image import Array, to_8_bit
from basicsr.utils.photo_metadata import (
    Kind,
    Metadata,
    Pieces,
    bmp_with,
    fitting,
    holds,
    jpeg_with,
    png_with,
    tiff_with,
    webp_with,
)
from basicsr.utils.pixel_limit import OF_PHOTOS, PixelLimit
from basicsr.utils.reading import LARGEST_IMAGE, read_file

_TYPE_OF = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".webp": "WebP",
    ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".dib": "BMP",
}  # fmt: skip
# Types that are read only and become another than PNG.
_WRITTEN_AS = {".mpo": ".jpg"}
_ENCODER = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp", "TIFF": ".tiff", "BMP": ".bmp"}
_LONGEST_SIDE = {"JPEG": 65500, "WebP": 16383}
_WEBP_LOSSLESS = 101
_DEFLATE, _DIFFERENCES = 8, 2  # TIFF compression and predictor


@dataclass(frozen=True)
class PhotoFile:
    """A photo as people see it, with everything else that its file carries.

    Attributes:
        image: (H, W, 3) RGB, uint8 or uint16, upright; three equal channels where the file is gray.
        alpha: (H, W) in the depth of ``image``, upright, or None.
        is_gray: the file stores one color channel.
        file_type: by content, one of those of `basicsr.utils.decode.Decoded`.
        is_lossless: the file type or, for WebP, this file keeps pixels exactly.
        metadata: EXIF (with the orientation of the stored pixels), color profile, resolution and all else.
        notes: what of the file was left out.
    """

    image: Array
    alpha: Array | None
    is_gray: bool
    file_type: str
    is_lossless: bool
    metadata: Metadata
    notes: tuple[str, ...]

    @property
    def depth(self) -> int:
        """Bits a channel: 8 or 16."""
        return 8 * self.image.dtype.itemsize


def read_photo_file(path: Path, limit: PixelLimit = OF_PHOTOS) -> PhotoFile:
    """Read a photo of any type that `basicsr.utils.decode` reads; of an animation or several pages the first.

    Raises:
        UserError: missing, not a regular file, or as in `basicsr.utils.decode.decode`.
    """
    try:
        data = read_file(path, LARGEST_IMAGE)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    file_type, upright, header = decode_photo(data, str(path), limit)
    notes = [f"{header.more} in the file left out; the first picture is taken"] if header.more else []
    if header.is_cmyk:
        notes.append("CMYK converted to RGB without its profile")
    notes += header.notes
    alpha = None
    if upright.ndim == 2:
        image = cv2.cvtColor(upright, cv2.COLOR_GRAY2RGB)
        if header.gray_key is not None:
            alpha = np.where(upright == header.gray_key, 0, np.iinfo(upright.dtype).max).astype(upright.dtype)
    elif upright.shape[2] == 4:
        image = cv2.cvtColor(upright, cv2.COLOR_RGBA2RGB)
        alpha = cv2.extractChannel(upright, 3)
    else:
        image = upright
    return PhotoFile(
        image=image,
        alpha=alpha,
        is_gray=upright.ndim == 2 or header.is_gray,
        file_type=file_type,
        is_lossless=header.is_lossless or file_type in ("PNG", "TIFF", "BMP", "GIF", "PNM"),
        metadata=header.metadata,
        notes=tuple(notes),
    )


def write_photo_file(path: Path, like: PhotoFile, image: Array, quality: int = 95) -> list[str]:
    """Write ``image`` with all that ``like`` carries, as far as the type of ``path``'s suffix can hold it.

    The file is written beside ``path`` and renamed; parent folders are made.

    Args:
        image: (H, W, 3) RGB, in size and depth of ``like.image``, upright. Only its luma is kept where
            ``like`` is gray.
        quality: 0 to 100, of JPEG (with full color resolution) and of WebP, unless both are lossless WebP.

    Returns:
        What could not be kept, a phrase each.

    Raises:
        UserError: a suffix without a writer, or a picture too large for the type.
    """
    if image.shape != like.image.shape or image.dtype != like.image.dtype:
        raise ValueError(
            f"image is {image.dtype} {image.shape}, the photo {like.image.dtype} {like.image.shape}"
        )
    file_type = photo_file_type(path)
    pixels, notes = _pixels_for(file_type, like, image)
    metadata, dropped = fitting(like.metadata, file_type, is_gray=pixels.ndim == 2)
    notes += dropped
    if metadata.exif:
        pixels = as_stored(pixels, metadata.orientation)
    keeps_webp = file_type == "WebP" and like.file_type == "WebP" and like.is_lossless
    encoded = _encode(pixels, file_type, _WEBP_LOSSLESS if keeps_webp else quality, path)
    pieces = _carrying(encoded, file_type, metadata, pixels)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.writelines(pieces)

    write_atomically(path, write)
    return notes


def photo_file_type(path: Path) -> str:
    """PNG, JPEG, WebP, TIFF or BMP by the suffix of ``path``.

    Raises:
        UserError: unknown suffix.
    """
    try:
        return _TYPE_OF[path.suffix.lower()]
    except KeyError:
        raise UserError(
            f"{path}: cannot write photos as '{path.suffix}'; use one of {', '.join(_TYPE_OF)}"
        ) from None


def written_suffix(suffix: str) -> str:
    """The suffix of the result for a photo with ``suffix``: the same where the type is written here.

    Of the types that are only read, MPO becomes ``.jpg``. All others become ``.png``, which holds every
    depth, alpha, EXIF, profile and XMP, and loses nothing.
    """
    return suffix if suffix.lower() in _TYPE_OF else _WRITTEN_AS.get(suffix.lower(), ".png")


def require_size(path: Path, height: int, width: int) -> None:
    """Check that the type of ``path``'s suffix can hold as many pixels per side.

    Raises:
        UserError: it cannot, or no photos are written with that suffix.
    """
    file_type = photo_file_type(path)
    longest = _LONGEST_SIDE.get(file_type)
    if longest is not None and max(height, width) > longest:
        raise UserError(
            f"{path}: {file_type} holds {longest} pixels per side, not {width} x {height}; write PNG or TIFF"
        )


def _pixels_for(file_type: str, like: PhotoFile, image: Array) -> tuple[Array, list[str]]:
    """Upright (H, W), RGB or RGBA in a depth that the type can hold, and what that cost."""
    alpha, notes = like.alpha, []
    if like.depth == 16 and not holds(file_type, Kind.DEPTH_16):
        image, alpha = to_8_bit(image), None if alpha is None else to_8_bit(alpha)
        notes.append(f"16 bits rounded to 8 for {file_type}")
    if alpha is not None and not holds(file_type, Kind.ALPHA):
        alpha = None
        notes.append(f"alpha dropped for {file_type}")
    if not like.is_gray:
        return (image if alpha is None else np.dstack([image, alpha])), notes
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if holds(file_type, Kind.GRAY if alpha is None else Kind.GRAY_WITH_ALPHA):
        return gray, notes
    notes.append(f"gray{'' if alpha is None else ' with alpha'} stored as equal colors in {file_type}")
    return np.dstack([gray, gray, gray] if alpha is None else [gray, gray, gray, alpha]), notes


def _encode(pixels: Array, file_type: str, quality: int, path: Path) -> memoryview:
    height, width = pixels.shape[:2]
    require_size(path, height, width)
    options = {
        "JPEG": [
            cv2.IMWRITE_JPEG_QUALITY, quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ],
        "WebP": [cv2.IMWRITE_WEBP_QUALITY, max(quality, 1)],
        "PNG": [cv2.IMWRITE_PNG_COMPRESSION, 3],
        "TIFF": [cv2.IMWRITE_TIFF_COMPRESSION, _DEFLATE, cv2.IMWRITE_TIFF_PREDICTOR, _DIFFERENCES],
    }  # fmt: skip
    if pixels.ndim == 3:
        order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        pixels = cv2.cvtColor(pixels, order)
    done, buffer = cv2.imencode(_ENCODER[file_type], pixels, options.get(file_type, []))
    assert done
    return memoryview(buffer.reshape(-1).data)


def _carrying(encoded: memoryview, file_type: str, metadata: Metadata, pixels: Array) -> Pieces:
    height, width = pixels.shape[:2]
    has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    if file_type == "PNG":
        return png_with(encoded, metadata)
    if file_type == "JPEG":
        return jpeg_with(encoded, metadata)
    if file_type == "WebP":
        return webp_with(encoded, metadata, width, height, has_alpha)
    if file_type == "TIFF":
        return tiff_with(encoded, metadata, has_alpha)
    return bmp_with(encoded, metadata)
