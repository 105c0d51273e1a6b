"""Averaging frames: identities of the mean, rounding, and the known GoPro images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basicsr.metrics import calculate_psnr
from basicsr.synthesis.frame_average import ResponseTable, average_frames
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import read_rgb

GAMMA = ResponseTable.from_gamma(2.2)
ROUNDINGS = ("truncate", "nearest")


def random_frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)


@pytest.fixture
def table(tmp_path):
    """Three responses that bend in different ways, as a file."""
    values = np.linspace(0, 1, 256)
    path = tmp_path / "crf.npy"
    np.save(path, np.stack([values**1.5, np.expm1(3 * values), 4 * values - 1], axis=1))
    return path


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("count", [1, 3, 7, 8, 13])
def test_constant_frames_stay_as_they_are(count: int, rounding, table) -> None:
    """Every value, although the mean of floats is not always the float itself."""
    frame = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2)
    for response in (GAMMA, ResponseTable.from_gamma(1), ResponseTable.from_file(table)):
        np.testing.assert_array_equal(average_frames([frame] * count, response, rounding), frame)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 13), rounding=st.sampled_from(ROUNDINGS))
def test_order_does_not_matter_and_the_mean_lies_between(seed: int, count: int, rounding) -> None:
    frames = random_frames(count, seed)
    mean = average_frames(frames, GAMMA, rounding)
    np.testing.assert_array_equal(average_frames(frames[::-1], GAMMA, rounding), mean)
    assert (frames.min(0) <= mean).all() and (mean <= frames.max(0)).all()


@pytest.mark.parametrize("gamma", [1.0, 2.2])
def test_formula(gamma: float) -> None:
    frames = random_frames(8)
    exact = 255 * np.mean((frames / 255) ** gamma, axis=0) ** (1 / gamma)
    response = ResponseTable.from_gamma(gamma)
    np.testing.assert_array_equal(average_frames(frames, response, "nearest"), np.floor(exact + 0.5 + 1e-6))
    np.testing.assert_array_equal(average_frames(frames, response), np.floor(exact + 1e-6))


def test_a_table_is_interpolated(table) -> None:
    """The green response is an exponential; its mean light lies between two entries of the table."""
    light = np.load(table)
    frames = random_frames(5)
    mean = np.stack([light[frames[..., c], c].mean(0) for c in range(3)], axis=-1)
    exact = np.stack([np.interp(mean[..., c], light[:, c], np.arange(256)) for c in range(3)], axis=-1)
    response = ResponseTable.from_file(table)
    np.testing.assert_array_equal(average_frames(frames, response, "nearest"), np.floor(exact + 0.5 + 1e-6))
    np.testing.assert_array_equal(average_frames(frames, response), np.floor(exact + 1e-6))


def test_one_response_serves_all_channels(tmp_path) -> None:
    np.save(tmp_path / "gray.npy", (np.arange(256) / 255) ** 2.2)
    frames = random_frames(3)
    by_table = average_frames(frames, ResponseTable.from_file(tmp_path / "gray.npy"))
    np.testing.assert_array_equal(by_table, average_frames(frames, GAMMA))


def test_light_adds_up_brighter_than_values() -> None:
    """Half black, half white: 0.5 of the light is 186, not 127."""
    frames = np.array([0, 255], np.uint8)[:, None, None, None].repeat(3, 3)
    assert average_frames(frames, GAMMA)[0, 0, 0] == 186
    assert average_frames(frames, ResponseTable.from_gamma(1))[0, 0, 0] == 127


@pytest.mark.data
@pytest.mark.parametrize(("name", "first"), [("165", 166), ("198", 199)])
def test_the_known_gopro_input(shared, name: str, first: int) -> None:
    """GoPro truncates, so its images come out but for a few values; by rounding half of all differ."""
    data = shared / "data"
    pairs = data / "pairs" / "gopro_raw240"
    file = f"GOPR0477_11_00_st_frame-{name}_n_avg-8.png"
    frames = [
        read_rgb(data / "sequences" / "gopro240_GOPR0477_11_00" / f"{number:06d}.png")
        for number in range(first, first + 8)
    ]
    blurred = read_rgb(pairs / "input" / file)
    assert calculate_psnr(average_frames(frames, GAMMA), blurred) > 80
    assert 51 < calculate_psnr(average_frames(frames, GAMMA, "nearest"), blurred) < 51.5
    np.testing.assert_array_equal(frames[4], read_rgb(pairs / "target" / file))


@pytest.mark.data
@pytest.mark.parametrize(("gamma", "first", "expected"), [(1, 166, 45.4), (2.2, 165, 38.6)])
def test_known_mistakes_are_seen(shared, gamma: float, first: int, expected: float) -> None:
    """Averaging the values themselves, or the wrong window, gives an image that is clearly another."""
    data = shared / "data"
    frames = (
        read_rgb(data / "sequences" / "gopro240_GOPR0477_11_00" / f"{number:06d}.png")
        for number in range(first, first + 8)
    )
    blurred = read_rgb(data / "pairs" / "gopro_raw240" / "input" / "GOPR0477_11_00_st_frame-165_n_avg-8.png")
    psnr = calculate_psnr(average_frames(frames, ResponseTable.from_gamma(gamma)), blurred)
    assert psnr == pytest.approx(expected, abs=0.5)


class TestRefused:
    @pytest.mark.parametrize("gamma", [0, -1, float("nan"), float("inf")])
    def test_gammas_that_are_none(self, gamma: float) -> None:
        with pytest.raises(OptionError, match="--gamma: expected a number above 0"):
            ResponseTable.from_gamma(gamma)

    @pytest.mark.parametrize("kept", [np.arange(255), np.zeros((256, 2)), np.array(["a"] * 256)])
    def test_other_arrays(self, tmp_path, kept) -> None:
        np.save(tmp_path / "crf.npy", kept)
        with pytest.raises(UserError, match="crf.npy: expected 256 numbers"):
            ResponseTable.from_file(tmp_path / "crf.npy")

    @pytest.mark.parametrize("harm", [lambda data: data[:40], lambda data: data.replace(b"}", b"{")])
    def test_damaged_files(self, tmp_path, harm) -> None:
        np.save(tmp_path / "crf.npy", np.arange(256))
        (tmp_path / "crf.npy").write_bytes(harm((tmp_path / "crf.npy").read_bytes()))
        with pytest.raises(UserError, match="crf.npy: cannot be read as .npy"):
            ResponseTable.from_file(tmp_path / "crf.npy")

    @pytest.mark.parametrize("wrong", [0.5, np.nan, 100 / 255])
    def test_responses_that_do_not_rise(self, tmp_path, wrong: float) -> None:
        light = np.arange(256) / 255
        light[101] = wrong
        np.save(tmp_path / "crf.npy", light)
        with pytest.raises(UserError, match="crf.npy: the light does not rise from value 10[01] to 10[12]"):
            ResponseTable.from_file(tmp_path / "crf.npy")

    def test_files_that_are_none(self, tmp_path) -> None:
        (tmp_path / "crf.npy").write_bytes(b"0 0.1 0.2")
        with pytest.raises(UserError, match="crf.npy: cannot be read as .npy"):
            ResponseTable.from_file(tmp_path / "crf.npy")

    def test_frames_of_several_sizes_and_none(self) -> None:
        frames = random_frames(1)[0]
        with pytest.raises(ValueError, match=r"differ in size: \(6, 8\) and \(5, 8\)"):
            average_frames([frames, frames[1:]], GAMMA)
        with pytest.raises(ValueError, match="no frame"):
            average_frames([], GAMMA)
