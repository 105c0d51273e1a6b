"""Motions become kernels that are light shares centered on the middle pixel; files are checked and placed."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from basicsr.preparation.pairs.show_kernels import show_kernels
from basicsr.synthesis import PRESETS, KernelFolder, camera_shake, draw_pair
from basicsr.synthesis.kernel_folder import read_kernel
from basicsr.synthesis.kernels import centered
from basicsr.synthesis.motion import fitting, random_walk, shake_path, straight_path
from basicsr.utils.errors import UserError
from basicsr.utils.image import encode_png, read_rgb


def centroid(kernel: np.ndarray) -> tuple[float, float]:
    """Row and column from the middle pixel."""
    position = np.arange(len(kernel)) - len(kernel) // 2
    return float(kernel.sum(1) @ position), float(kernel.sum(0) @ position)


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@given(seed=st.integers(0, 10**6), exposure=st.floats(0.01, 0.5))
def test_the_centroid_of_a_shake_kernel_is_its_center(seed: int, exposure: float):
    kernel = camera_shake(np.random.default_rng(seed), exposure)
    assert kernel.shape == (65, 65)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)
    assert centroid(kernel) == pytest.approx((0, 0), abs=1e-9)


def test_shake_reaches_at_most_60_pixels_in_95_of_100_exposures():
    generator = np.random.default_rng(0)
    exposures = generator.uniform(0.05, 0.5, 1000)
    paths = (shake_path(generator, exposure, 1000, PRESETS["sbdd"].tremor) for exposure in exposures)
    extents = [np.ptp(path, axis=0).max() for path in paths]
    assert 55 < np.percentile(extents, 95) <= 60.5


def test_shake_grows_with_exposure_and_in_proportion_to_the_focal_length():
    def extent(exposure: float, focal_length: float) -> float:
        generator = np.random.default_rng(1)
        paths = (shake_path(generator, exposure, focal_length, 0.5) for _ in range(50))
        return float(np.mean([np.ptp(path, axis=0).max() for path in paths]))

    assert extent(0.05, 1000) < extent(0.2, 1000) < extent(0.5, 1000)
    assert extent(0.2, 2000) == pytest.approx(2 * extent(0.2, 1000))


class OneAmplitude:
    """In place of a generator: of all amplitudes, only this one is 1."""

    def __init__(self, number: int) -> None:
        self.number = number

    def normal(self, size: tuple[int, ...]) -> np.ndarray:
        amplitudes = np.zeros(size)
        amplitudes.reshape(-1, size[-1])[self.number] = 1
        return amplitudes


def test_shake_has_the_spectrum_of_its_description():
    """Mean squares of angles and of their changes are integrals over the spectrum: power as 1 / f^2 from 0.5
    to 20 Hz, of which a hundredth (a tenth of the amplitude) is even from 8 to 12 Hz instead.
    """
    exposure, focal_length, tremor = 0.4, 1000.0, 0.01  # angles so small that a tangent is its angle
    paths = np.stack([shake_path(OneAmplitude(n), exposure, focal_length, tremor) for n in range(2 * 49)])
    np.testing.assert_array_equal(paths[..., 0], paths[..., 1])
    angles = np.rad2deg(np.arctan(paths[..., 0] / focal_length))
    np.testing.assert_allclose((angles**2).sum(0), tremor**2, rtol=1e-9)
    low, high = 1 / 20, 1 / 0.5  # with u = 1 / f, power as 1 / f^2 is even in u
    drift, band = 1 / np.linspace(low, high, 20001), np.linspace(8, 12, 2001)
    for lag in (50, 200, 500):
        change = ((angles[:, lag:] - angles[:, :-lag]) ** 2).sum(0)
        time = exposure * lag / angles.shape[1]
        powers = [np.mean(2 - 2 * np.cos(2 * np.pi * time * part)) for part in (drift, band)]
        # 40 frequencies stand for all those of the drift
        np.testing.assert_allclose(change, tremor**2 * (0.99 * powers[0] + 0.01 * powers[1]), rtol=0.05)


def test_a_straight_path_has_constant_speed_around_its_middle():
    path = straight_path(10.0, np.pi / 6)
    np.testing.assert_allclose(path.mean(0), 0, atol=1e-12)
    steps = np.diff(path, axis=0)
    direction = np.array([np.cos(np.pi / 6), -np.sin(np.pi / 6)])  # counter-clockwise, y down
    np.testing.assert_allclose(steps, np.broadcast_to(10 / len(path) * direction, steps.shape), atol=1e-12)


def test_a_path_along_one_axis_becomes_a_kernel_along_it():
    path = straight_path(6.0, 0.0)
    kernel, same = fitting(lambda: path, 9)
    assert same is path
    assert kernel[4].sum() == pytest.approx(1) and (kernel[4] > 0).sum() == 7
    upright, _ = fitting(lambda: straight_path(6.0, np.pi / 2), 9)
    np.testing.assert_allclose(upright, kernel.T, atol=1e-12)


@pytest.mark.parametrize(("reach", "fits"), [(4.0, True), (4.001, False)])
def test_a_path_fits_when_no_point_is_beyond_the_middle_of_the_last_pixel(reach: float, fits: bool):
    for axis in (0, 1):
        ends = np.zeros((2, 2))
        ends[:, axis] = (-reach, reach)
        kernel = centered(ends[:, 0], ends[:, 1], 9)
        assert (kernel is not None) == fits


def test_the_defaults_of_camera_shake_are_those_of_the_presets():
    preset = PRESETS["sbdd"]
    kernel = camera_shake(np.random.default_rng(5), 0.2)
    asked = camera_shake(
        np.random.default_rng(5), 0.2, preset.focal_length, preset.tremor, preset.kernel_size
    )
    np.testing.assert_array_equal(kernel, asked)


def test_a_folder_is_told_by_the_names_and_sizes_of_its_files(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy(np.ones((3, 3))))
    assert KernelFolder(tmp_path)[0].shape == (65, 65)
    one = KernelFolder(tmp_path).fingerprint()
    assert len(one) == 16 and int(one, 16) >= 0
    assert KernelFolder(tmp_path, 9, center=True).fingerprint() == one
    (tmp_path / "a.npy").write_bytes(npy(np.ones((3, 5))))
    two = KernelFolder(tmp_path).fingerprint()
    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    assert len({one, two, KernelFolder(tmp_path).fingerprint()}) == 3


def test_a_motion_that_never_fits_is_one_clear_line():
    with pytest.raises(UserError, match="kernel of 9 x 9 pixels; take a larger kernel"):
        fitting(lambda: straight_path(20.0, 0.3), 9)


def test_a_random_walk_has_the_extent_asked_for():
    path = random_walk(np.random.default_rng(0), 25.0)
    assert np.ptp(path, axis=0).max() == pytest.approx(25)
    kernel, _ = fitting(lambda: path, 65)
    assert centroid(kernel) == pytest.approx((0, 0), abs=1e-9)


@pytest.mark.parametrize("motion", ["linear", "random_walk"])
def test_presets_take_other_motions(motion: str):
    rules = PRESETS["sbdd"].adapted(motion=motion)
    draw, kernels = draw_pair(rules, [7], np.random.default_rng(0))
    assert [item.kind for item in draw.motions] == [motion, motion]
    assert [item.region for item in draw.motions] == [None, 7]
    assert all(5 <= item.extent <= 50 for item in draw.motions if motion == "random_walk")
    assert not np.allclose(kernels[0], kernels[1])


def test_files_of_all_formats_become_kernels_of_one_size(tmp_path):
    values = np.random.default_rng(0).random((5, 7)) + 0.1
    savemat(tmp_path / "a.mat", {"K": values})
    savemat(tmp_path / "b.mat", {"anything": values})
    (tmp_path / "c.npy").write_bytes(npy(values))
    (tmp_path / "d.png").write_bytes(encode_png(np.round(values * 200).astype(np.uint8)))
    folder = KernelFolder(tmp_path, size=11)
    assert folder.keys == ["a", "b", "c", "d"]
    expected = np.pad(values / values.sum(), ((3, 3), (2, 2)))
    for number in range(3):
        np.testing.assert_allclose(folder[number], expected)
    np.testing.assert_allclose(folder[3], expected, atol=2e-4)


@given(size=st.integers(1, 12), row=st.integers(0, 11), column=st.integers(0, 11))
def test_the_middle_of_a_file_stays_the_middle(size: int, row: int, column: int):
    """Of even sizes it is right of and below the middle; margins of zeros may be larger than the kernels."""
    values = np.zeros((size, size))
    values[row % size, column % size] = 3
    kernel = read_kernel(npy(values), "k.npy", 13)
    assert centroid(kernel) == pytest.approx((row % size - size // 2, column % size - size // 2))
    assert centroid(read_kernel(npy(values), "k.npy", 13, center=True)) == pytest.approx((0, 0))
    assert np.array_equal(read_kernel(npy(np.pad(values, 20)), "k.npy", 13), kernel)


def test_centering_moves_by_parts_of_a_pixel():
    values = np.zeros((5, 5))
    values[1, 1], values[1, 4] = 1, 3
    kernel = read_kernel(npy(values), "k.npy", 9, center=True)
    assert centroid(kernel) == pytest.approx((0, 0), abs=1e-12)
    assert kernel[4].sum() == pytest.approx(1), "still one row"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("k.npy", npy(np.array([[1.0, -0.1]])), "not negative and has some light, found -0.1 to 1"),
        ("k.npy", npy(np.zeros((3, 3))), "found 0 to 0"),
        ("k.npy", npy(np.array([[np.nan]])), "found nan"),
        ("k.npy", npy(np.ones((2, 3, 3))), r"matrix of real numbers, found float64 \(2, 3, 3\)"),
        ("k.npy", npy(np.ones((15, 3))), "15 x 3 pixels, the kernels here 9 x 9"),
        ("k.npy", b"hello", "damaged .npy file"),
        ("k.mat", b"hello", "damaged .mat file"),
        ("k.png", b"hello", "not an image"),
    ],
)
def test_files_that_are_no_kernels_are_one_line_that_names_them(name: str, data: bytes, message: str):
    with pytest.raises(UserError, match=message) as error:
        read_kernel(data, name, 9)
    assert str(error.value).startswith(name) and "\n" not in str(error.value)


def test_a_mat_with_several_variables_needs_the_known_one(tmp_path):
    savemat(tmp_path / "k.mat", {"A": np.ones((3, 3)), "B": np.ones((3, 3))})
    with pytest.raises(UserError, match=r"k.mat: expected the variable 'K', found A, B"):
        KernelFolder(tmp_path)[0]


def test_the_sheet_shows_each_kernel_enlarged(tmp_path):
    show_kernels(PRESETS["gopro"], tmp_path / "sheet.png", count=4)
    sheet = read_rgb(tmp_path / "sheet.png")
    assert sheet.shape == (2 * (130 + 8) + 8, 2 * (130 + 8) + 8, 3)
    tiles = cv2.connectedComponents((sheet.min(2) < 255).astype(np.uint8))[0] - 1
    assert tiles == 4


def test_background_and_objects_each_draw_a_file_with_replacement(tmp_path):
    for place in range(3):
        (tmp_path / f"{place}.npy").write_bytes(npy(np.eye(3)[place : place + 1]))
    folder = KernelFolder(tmp_path, size=5)
    chance = np.random.default_rng(0)
    for _ in range(20):
        draw, kernels = draw_pair(PRESETS["sbdd"], [4, 9, 2, 7], chance, folder)
        assert [item.region for item in draw.motions] == [None, 4, 9, 2, 7]
        assert {item.kind for item in draw.motions} == {"file"}
        assert kernels.shape == (5, 5, 5)
        for item, kernel in zip(draw.motions, kernels, strict=True):
            np.testing.assert_array_equal(kernel, folder[folder.keys.index(item.file)])
