"""MAT files: SciPy writes them, and damage ends in one line."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from basicsr.utils.mat import read_mat

TYPES = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")

MOST = 1 << 20  # bytes


def written(variables: dict[str, object], packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=packed)
    return buffer.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (0, 3), (2, 3, 4, 5)])
def test_numbers_are_those_that_scipy_wrote(packed: bool, shape: tuple[int, ...]):
    generator = np.random.default_rng(0)
    variables = {f"a_{kind}": (100 * generator.random(shape)).astype(kind) for kind in TYPES}
    found = read_mat(written(variables, packed), MOST)
    assert found.keys() == variables.keys()
    for name, values in variables.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_what_is_no_matrix_of_real_numbers_is_left_out():
    variables = {
        "text": "words",
        "complex": np.ones(3) * 1j,
        "cell": np.array([1, "a"], object),
        "K": np.eye(2),
    }
    assert list(read_mat(written(variables), MOST)) == ["K"]


def test_whole_numbers_that_are_stored_in_fewer_bytes_have_the_type_of_the_variable():
    """As MATLAB writes doubles; here 1 to 4 as int16 in a small element, big-endian."""
    parts = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 1, 2)
    parts += struct.pack(">HH4s", 1, 1, b"K") + struct.pack(">HHhh", 4, 3, 7, -8)
    data = b" " * 124 + b"\x01\x00MI" + struct.pack(">II", 14, len(parts)) + parts
    found = read_mat(data, MOST)["K"]
    assert found.dtype == np.float64 and found.tolist() == [[7, -8]]
    assert loadmat(io.BytesIO(data))["K"].tolist() == [[7, -8]]


def test_memory_is_taken_for_what_a_packed_variable_says_and_not_for_what_it_holds():
    packed = zlib.compress(struct.pack("<II", 14, 16) + bytes(1 << 24))
    data = b" " * 124 + b"\x00\x01IM" + struct.pack("<II", 15, len(packed)) + packed
    tracemalloc.start()
    try:
        assert read_mat(data, MOST) == {}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packed", [False, True])
def test_damage_is_a_value_error(packed: bool):
    data = written({"K": np.arange(30.0).reshape(5, 6), "other": np.eye(3, dtype=np.uint8)}, packed)
    generator = random.Random(0)
    refused = 0
    for _ in range(3000):
        harmed = bytearray(data[: generator.choice([len(data), generator.randrange(1, len(data))])])
        for _ in range(generator.randint(1, 4)):
            harmed[generator.randrange(len(harmed))] = generator.choice([0, 1, 255, generator.randrange(256)])
        try:
            read_mat(bytes(harmed), MOST)
        except ValueError:
            refused += 1
    assert refused > 1000
