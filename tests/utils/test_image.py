"""The only code that knows of BGR and of value ranges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from basicsr.utils.errors import UserError
from basicsr.utils.image import (
    decode_rgb,
    decode_single,
    encode_png,
    read_rgb,
    to_8_bit,
    to_chw,
    to_tensor,
    to_uint8,
    write_png,
)

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6))
DEPTHS = st.sampled_from([np.uint8, np.uint16])
COLOR = st.tuples(SIZES, DEPTHS).flatmap(lambda drawn: arrays(drawn[1], (*drawn[0], 3)))
GRAY = st.tuples(SIZES, DEPTHS).flatmap(lambda drawn: arrays(drawn[1], drawn[0]))
ENCODERS = [".png", ".jpg", ".bmp", ".tiff", ".webp"]


def photo(height: int = 24, width: int = 31) -> np.ndarray:
    """Smooth colors with a little noise."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([x * 8, y * 10, (x + y) * 4], -1)
    return (smooth + np.random.default_rng(0).integers(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)


def encoded(image: np.ndarray, suffix: str) -> bytes:
    done, buffer = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]))
    assert done
    return buffer.tobytes()


@given(COLOR, st.integers(0, 9))
def test_png_gives_back_every_color_in_both_depths(image, compression):
    decoded = decode_rgb(encode_png(image, compression), "x.png")
    assert decoded.dtype == image.dtype
    np.testing.assert_array_equal(decoded, image)


@given(GRAY)
def test_gray_gives_back_one_channel_or_three_equal_ones(image):
    data = encode_png(image)
    np.testing.assert_array_equal(decode_single(data, "x.png"), image)
    color = decode_rgb(data, "x.png")
    assert color.dtype == image.dtype
    np.testing.assert_array_equal(color, np.stack([image] * 3, -1))


def test_channels_are_red_green_blue():
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    for suffix in ENCODERS:
        mean = decode_rgb(encoded(np.repeat(np.repeat(red, 16, 0), 16, 1), suffix), suffix).mean((0, 1))
        np.testing.assert_allclose(mean, [200, 0, 0], atol=4)
    with_alpha = np.concatenate([red[..., ::-1], np.full((2, 2, 1), 7, np.uint8)], -1)
    data = cv2.imencode(".png", with_alpha)[1].tobytes()
    np.testing.assert_array_equal(decode_rgb(data, "x.png"), red)


def test_single_takes_equal_channels_and_refuses_colors():
    gray = photo()[..., 0]
    np.testing.assert_array_equal(decode_single(encode_png(np.stack([gray] * 3, -1)), "m.png"), gray)
    with pytest.raises(UserError, match="m.png: expected one channel"):
        decode_single(encode_png(photo()), "m.png")


@pytest.mark.parametrize("suffix", ENCODERS)
def test_file_cut_anywhere_is_an_error_with_its_name_or_complete(suffix):
    data = encoded(photo(), suffix)
    whole = decode_rgb(data, "x")
    refused = 0
    for length in [0, *range(1, len(data), 7), *range(len(data) - 16, len(data))]:
        try:
            image = decode_rgb(data[:length], f"photo{suffix}")
        except UserError as error:
            assert str(error).startswith(f"photo{suffix}: ") and "\n" not in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(image, whole)
    assert refused > len(data) // 8


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("decode", [decode_rgb, decode_single])
def test_half_a_file_is_refused_also_when_zeros_fill_it_up(decode, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    data = encoded(noise, suffix)
    halves = [data[: len(data) * tenths // 10] for tenths in (5, 8, 9)]
    for part in (b"", b"text", *halves, *(half.ljust(len(data), b"\0") for half in halves)):
        with pytest.raises(UserError, match="^photo.x: .*replace the file$"):
            decode(part, "photo.x")


def test_floating_point_pixels_are_refused():
    data = cv2.imencode(".tiff", np.zeros((4, 4, 3), np.float32))[1].tobytes()
    with pytest.raises(UserError, match="x.tiff: pixels of type float32 are not supported"):
        decode_rgb(data, "x.tiff")


def test_file_round_trip_makes_folders_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "set" / "scene" / "x.png"
    write_png(path, photo())
    np.testing.assert_array_equal(read_rgb(path), photo())
    assert [item.name for item in path.parent.iterdir()] == ["x.png"]


def test_16_bits_are_rounded_to_8():
    levels = np.arange(65536, dtype=np.uint16).reshape(64, 1024)
    np.testing.assert_array_equal(to_8_bit(levels), np.round(levels / 257).astype(np.uint8))
    assert to_8_bit(levels.reshape(64, -1, 4)).shape == (64, 256, 4)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_tensor_is_the_share_of_the_largest_value(depth):
    top = np.iinfo(depth).max
    image = np.arange(top + 1, dtype=depth).reshape(16, 16, -1)
    tensor = to_tensor(image)
    assert tensor.dtype == torch.float32 and tensor.shape == image.shape
    assert (tensor.min(), tensor.max()) == (0, 1)
    np.testing.assert_allclose(tensor.numpy(), image.astype(np.float64) / top, rtol=1e-7)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("view", [lambda image: image, lambda image: image[::-1, ::-1], to_chw])
def test_tensor_has_its_own_memory_whatever_view_it_came_from(view, depth):
    image = photo().astype(depth)
    before = image.copy()
    tensor = to_tensor(view(image))
    expected = tensor.clone()
    tensor.zero_()
    np.testing.assert_array_equal(image, before)
    tensor = to_tensor(view(image))
    image[...] = 0
    assert torch.equal(tensor, expected) and expected.max() > 0


def test_chw_is_a_view():
    image = photo()
    assert to_chw(image).shape == (3, 24, 31)
    assert np.shares_memory(to_chw(image), image)
    np.testing.assert_array_equal(to_chw(image)[1], image[..., 1])


@settings(deadline=None)
@given(SIZES.flatmap(lambda size: arrays(np.uint8, (*size, 3))))
def test_uint8_through_a_tensor_and_back_is_the_same(image):
    np.testing.assert_array_equal(to_uint8(to_tensor(to_chw(image))), image)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, 0), (1.0, 255), (-0.5, 0), (1.5, 255), (float("inf"), 255), (-float("inf"), 0),
        (float("nan"), 0), (100.4 / 255, 100), (100.6 / 255, 101), (254.6 / 255, 255), (0.4 / 255, 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("depth", [torch.float32, torch.float64])
def test_uint8_clamps_and_rounds(value, expected, depth):
    image = torch.full((3, 2, 2), value, dtype=depth)
    np.testing.assert_array_equal(to_uint8(image), np.full((2, 2, 3), expected, np.uint8))


def test_uint8_keeps_order_and_input_and_takes_gradients_and_half():
    image = torch.stack([torch.full((4, 5), level) for level in (0.0, 0.5, 1.0)]).requires_grad_()
    before = image.detach().clone()
    result = to_uint8(image)
    assert result.shape == (4, 5, 3) and result.dtype == np.uint8
    assert result[0, 0].tolist() == [0, 128, 255]
    assert torch.equal(image, before)
    assert to_uint8(image.bfloat16())[0, 0].tolist() == [0, 128, 255]
