"""Arrays without compression: what comes back, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from basicsr.storage.arrays import decode_array, encode_array, is_array
from basicsr.utils.errors import UserError
from basicsr.utils.pixel_limit import PixelLimit

PIXELS = arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9))


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@given(plane=PIXELS)
def test_what_is_encoded_comes_back(plane):
    for pixels, channels in (
        (plane, None),
        (plane.astype(np.uint8), None),
        (np.stack([plane, plane, plane], 2), 3),
        (np.asfortranarray(plane), None),
        (plane[::-1, ::2], None),
    ):
        data = encode_array(pixels)
        decoded = decode_array(data, "a", channels)
        assert is_array(data)
        assert decoded.dtype == pixels.dtype and np.array_equal(decoded, pixels)
        assert np.array_equal(np.load(io.BytesIO(data)), pixels), "a file that NumPy reads"


def test_it_is_a_view_of_the_entry():
    data = encode_array(np.zeros((400, 300, 3), np.uint8))
    decoded = decode_array(data, "a", 3)
    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8)) and not decoded.flags.writeable


@pytest.mark.parametrize(
    ("data", "channels", "message"),
    [
        (encode_array(np.zeros((4, 5), np.uint8))[:-1], None, "damaged array .*20 bytes, of which 19"),
        (encode_array(np.zeros((4, 5), np.uint8)) + b" ", None, "damaged array"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1'}", None, "damaged array"),
        (npy(np.array([{}], object)), None, "damaged array .*Python objects"),
        (encode_array(np.zeros((4, 5), np.uint8)), 3, r"expected .*\(H, W, 3\), found uint8 \(4, 5\)"),
        (encode_array(np.zeros((4, 5, 3), np.uint8)), None, r"expected .*\(H, W\), found uint8 \(4, 5, 3\)"),
        (npy(np.zeros((4, 5), np.float32)), None, r"found float32 \(4, 5\)"),
        (npy(np.zeros((4, 0), np.uint8)), None, r"found uint8 \(4, 0\)"),
        (npy(np.zeros(4, np.uint8)), None, r"found uint8 \(4,\)"),
        (npy(np.zeros((3, 4), np.uint16).astype(">u2")), None, "found >u2"),
    ],
)
def test_others_are_refused_in_one_line(data: bytes, channels: int | None, message: str):
    with pytest.raises(UserError, match=message) as told:
        decode_array(data, "set.lmdb:a", channels)
    assert str(told.value).startswith("set.lmdb:a: ") and "\n" not in str(told.value)


def test_columns_first_are_refused():
    """Their bytes are in another order than their shape says."""
    with pytest.raises(UserError, match="by columns"):
        decode_array(npy(np.asfortranarray(np.zeros((4, 5), np.uint8))), "a", None)


def test_more_pixels_than_allowed_are_refused():
    with pytest.raises(UserError):
        decode_array(encode_array(np.zeros((4, 5), np.uint8)), "a", None, PixelLimit(19, "cut it"))
