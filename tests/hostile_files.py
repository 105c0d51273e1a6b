"""Small files that declare much, and what it costs to read them."""

from __future__ import annotations

import io
import multiprocessing
import resource
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

MEMORY = 6 << 30
"""Bytes of address space that a trial may take at most, so that one that fails harms nothing."""

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["basicsr.archs", "basicsr.checkpoints.rebuild", "basicsr.config.load", "basicsr.utils.photo_file"]
)


@dataclass(frozen=True)
class Cost:
    """What a call took.

    Attributes:
        message: what it raised, ``UserError: text``; empty where it returned.
        bytes: by which the peak of resident memory exceeds what was there before.
        seconds: of processor time.
    """

    message: str
    bytes: int
    seconds: float


def cost_of(function: Callable[..., Any], *arguments: Any) -> Cost:
    """Call ``function`` in a process of its own, below `MEMORY`."""
    ours, theirs = _SERVER.Pipe()
    process = _SERVER.Process(target=_measure, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        message, used, seconds = ours.recv()
    except EOFError:
        process.join()
        message, used, seconds = f"ended with {process.exitcode}", MEMORY, 0.0
    process.join()
    return Cost(message, used, seconds)


def _measure(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    before, started = _peak(), time.process_time()
    message = ""
    try:
        function(*arguments)
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
    pipe.send((message, _peak() - before, time.process_time() - started))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def png_chunk(name: bytes, data: bytes, length: int | None = None) -> bytes:
    """A chunk of a PNG; ``length`` is what it says of itself."""
    declared = len(data) if length is None else length
    return struct.pack(">I", declared) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    width: int, height: int, depth: int = 8, color_type: int = 0, pixels: bytes = b"", extra: bytes = b""
) -> bytes:
    """A PNG of this size by its header, with ``pixels`` as they are, or as many as it says."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    palette = png_chunk(b"PLTE", bytes(6)) if color_type == 3 else b""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
    rows = pixels or deflated_zeros(height * (1 + (width * depth * channels + 7) // 8))
    chunks = extra + palette + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + chunks


def deflated_zeros(count: int) -> bytes:
    """``count`` zero bytes as zlib packs them, made without packing them all."""
    block = 1 << 24
    packer = zlib.compressobj(9, wbits=-15)
    whole = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.compress(bytes(count % block)) + packer.flush()
    adler = struct.pack(">HH", count % 65521, 1)  # sums of zeros (RFC 1950)
    return b"\x78\xda" + count // block * whole + end + adler


def npz_of_zeros(key: str, shape: tuple[int, ...], kind: str = "|b1", stored: int | None = None) -> bytes:
    """An .npz with one array of zeros, of which ``stored`` bytes are there (all by default)."""
    text = repr({"descr": kind, "fortran_order": False, "shape": shape})
    text += " " * (-(len(text) + 11) % 64) + "\n"
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    count = int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{key}.npy", "w", force_zip64=True) as member,
    ):
        member.write(header)
        block = bytes(1 << 24)
        left = count if stored is None else stored
        while left:
            left -= member.write(block[:left])
    return buffer.getvalue()


def jpeg_that_says(side: int, declared: int) -> bytes:
    """A JPEG of ``side`` squared pixels whose header says ``declared`` squared."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    data = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", declared, declared)
    return bytes(data)


def plain_picture(file_type: str, width: int, height: int) -> bytes:
    """A black picture with three colors (Pillow's name of the type)."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, file_type, **_SAVE.get(file_type, {}))
    return buffer.getvalue()


def picture_that_says(file_type: str, declared: int) -> bytes:
    """A picture of 8 x 8 pixels whose header says ``declared`` squared (Pillow's name of the type)."""
    data = bytearray(plain_picture(file_type, 8, 8))
    if file_type == "TIFF":
        for tag in (256, 257):
            entry = data.index(struct.pack("<HHI", tag, 4, 1))
            data[entry + 8 : entry + 12] = struct.pack("<I", declared)
    elif file_type == "PPM":
        data[:] = data.replace(b"8 8", f"{declared} {declared}".encode(), 1)
    else:
        place, form, value = _SIZES[file_type]
        struct.pack_into(form, data, place(data), value(declared), value(declared))
    return bytes(data)


_SAVE: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "TIFF": {"compression": "raw"}}
_SIZES: dict[str, tuple[Callable[[bytearray], int], str, Callable[[int], int]]] = {
    "BMP": (lambda data: 18, "<ii", int),
    "GIF": (lambda data: 6, "<HH", int),
    "JPEG2000": (lambda data: data.index(b"ihdr") + 4, ">II", int),
}
