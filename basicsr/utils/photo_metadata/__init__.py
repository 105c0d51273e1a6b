"""What photo files carry besides pixels, one module per type; `kept` lists which type keeps what."""

from basicsr.utils.photo_metadata.bmp import bmp_layout, bmp_with, read_bmp
from basicsr.utils.photo_metadata.jpeg import (
    JPEG_FRAMES,
    jpeg_orientation,
    jpeg_segments,
    jpeg_with,
    read_jpeg,
)
from basicsr.utils.photo_metadata.kept import WRITTEN_TYPES, fitting, holds
from basicsr.utils.photo_metadata.model import Chunk, Header, Kind, Metadata, Pieces
from basicsr.utils.photo_metadata.others import read_from_pillow
from basicsr.utils.photo_metadata.png import png_chunks, png_with, read_png
from basicsr.utils.photo_metadata.resolution import Resolution
from basicsr.utils.photo_metadata.tiff import read_tiff, tiff_with
from basicsr.utils.photo_metadata.webp import read_webp, webp_size, webp_with

__all__ = [
    "JPEG_FRAMES", "WRITTEN_TYPES", "Chunk", "Header", "Kind", "Metadata", "Pieces", "Resolution",
    "bmp_layout", "bmp_with", "fitting", "holds", "jpeg_orientation", "jpeg_segments", "jpeg_with",
    "png_chunks", "png_with", "read_bmp", "read_from_pillow", "read_jpeg", "read_png", "read_tiff",
    "read_webp", "tiff_with", "webp_size", "webp_with",
]  # fmt: skip
