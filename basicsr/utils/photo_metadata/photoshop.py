"""Image resources of Photoshop, in JPEG's APP13 and in a tag of TIFF, where IPTC is one among them.

Layout: Adobe Photoshop File Formats Specification, image resource blocks.
"""

from __future__ import annotations

import struct

IPTC_RESOURCE = 0x0404
_RESOLUTION = 0x03ED
_THUMBNAILS = (0x0409, 0x040C)
_SIGNATURE = b"8BIM"


def split_resources(data: bytes) -> tuple[bytes | None, bytes | None, bool, bool]:
    """Image resources -> IPTC, the others without thumbnails, whether there was one, whether all is sound.

    What follows the first damage is left out. The resolution is left out, too: it has its own field.
    """
    iptc, others, has_thumbnail, position = None, b"", False, 0
    while data[position : position + 4] == _SIGNATURE and position + 7 <= len(data):
        number = int.from_bytes(data[position + 4 : position + 6], "big")
        name = 1 + data[position + 6]
        start = position + 6 + name + name % 2
        size = int.from_bytes(data[start : start + 4], "big")
        end = start + 4 + size
        if end > len(data):
            break
        if number == IPTC_RESOURCE:
            iptc = data[start + 4 : end]
        elif number in _THUMBNAILS:
            has_thumbnail = True
        elif number != _RESOLUTION:
            others += data[position:end] + bytes(size % 2)
        position = end + size % 2
    return iptc or None, others or None, has_thumbnail, not data[position:].strip(b"\0")


def iptc_resource(iptc: bytes) -> bytes:
    """IPTC as an image resource."""
    frame = _SIGNATURE + struct.pack(">HHI", IPTC_RESOURCE, 0, len(iptc))
    return frame + iptc + bytes(len(iptc) % 2)
