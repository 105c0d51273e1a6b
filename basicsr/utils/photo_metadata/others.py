"""What types that are only read carry, as far as Pillow hands it over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basicsr.utils.photo_metadata.model import Header, Metadata, checked_profile, without_old_picture

_EXIF = b"Exif\0\0"


def read_from_pillow(
    info: Mapping[Any, Any], file_type: str, is_gray: bool = False, more: str = ""
) -> Header:
    """Header by the ``info`` of a Pillow image.

    Args:
        file_type: named in notes on what is left out.
        is_gray: one color channel is stored.
        more: further pictures in the file, in words.
    """
    exif, kept = without_old_picture(file_type, _bytes(info, "exif").removeprefix(_EXIF))
    icc, notes = checked_profile(_bytes(info, "icc_profile") or None)
    comment = _bytes(info, "comment")
    metadata = Metadata(
        exif=exif,
        icc=icc,
        xmp=_bytes(info, "xmp") or None,
        comments=(comment,) if comment else (),
        chunks=kept,
    )
    return Header(metadata, is_gray=is_gray, more=more, notes=tuple(notes))


def _bytes(info: Mapping[Any, Any], key: str) -> bytes:
    value = info.get(key)
    return value if isinstance(value, bytes) else b""
