"""NIQE: published figures, the definition written out, the fit of generalized Gaussians, the geometry of
blocks, and that worse images score worse.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from basicsr.config.schema import MetricOptions
from basicsr.engine.evaluator import build_metrics
from basicsr.metrics import NIQE
from basicsr.metrics.niqe import (
    BLOCK,
    FEATURES,
    HALVING,
    PUBLISHED,
    Pristine,
    _describe,
    _fit,
    _normalize,
    fit_pristine,
    niqe_features,
    niqe_luma,
    read_pristine,
    write_pristine,
)
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import read_rgb
from basicsr.utils.registry import METRICS

# The moments are float64 sums over 9,216 pixels; solving with the pooled covariances, whose condition is
# below 1e6, magnifies what such sums lose.
MAGNIFIED = 9216 * np.finfo(np.float64).eps * 1e6

PRISTINE = ("astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


def carried(name: str) -> np.ndarray:
    """A photo of scikit-image."""
    import skimage.data

    return read_rgb(Path(skimage.data.__file__).parent / name)


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("niqe") / "parameters.npz"
    write_pristine(path, fit_pristine(niqe_features(niqe_luma(carried(name))) for name in PRISTINE))
    return path


def smoothed_by_hand(plane: np.ndarray) -> np.ndarray:
    """A 7x7 Gaussian of sigma 7/6, borders repeated."""
    from scipy.ndimage import correlate

    line = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(line, line) / line.sum() ** 2
    return correlate(plane, window, mode="nearest")


def halved_by_hand(length: int) -> np.ndarray:
    """(length / 2, length): cubic interpolation (a = -1/2) at half the size, stretched so as not to alias."""

    def cubic(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    matrix = np.zeros((length // 2, length))
    for row in range(length // 2):
        center = 2 * row + 0.5  # of the output pixel, in input pixels
        for column in range(2 * row - 3, 2 * row + 5):
            mirrored = min(max(column, -1 - column), 2 * length - 1 - column)
            matrix[row, mirrored] += cubic((center - column) / 2) / 2
    return matrix


def fitted_by_hand(x: np.ndarray) -> tuple[float, float, float]:
    """Shape, left and right scale of one sample, by the moments and a search of the whole table."""
    from scipy.special import gamma

    left, right = (math.sqrt(np.mean(side**2)) for side in (x[x < 0], x[x > 0]))
    ratio = left / right
    wanted = np.mean(np.abs(x)) ** 2 / np.mean(x**2) * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes = np.linspace(0.2, 10, 9801)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    shape = shapes[np.argmin(np.abs(ratios - wanted))]
    scale = math.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def features_by_hand(luma: np.ndarray) -> np.ndarray:
    """(B, 36): for each block and scale, the fit of the values, then of their products with the neighbor at
    the right, below, below right and below left (of the block, which goes on at its other side).
    """
    from scipy.special import gamma

    blocks = []
    half = halved_by_hand(luma.shape[0]) @ luma @ halved_by_hand(luma.shape[1]).T
    for plane, side in ((luma, 96), (half, 48)):
        mean = smoothed_by_hand(plane)
        deviation = np.sqrt(np.abs(smoothed_by_hand(plane**2) - mean**2))
        plane = (plane - mean) / (deviation + 1)
        found = []
        for top in range(0, plane.shape[0], side):
            for start in range(0, plane.shape[1], side):
                block = plane[top : top + side, start : start + side]
                shape, left, right = fitted_by_hand(block)
                features = [shape, (left + right) / 2]
                for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    rows, columns = np.mgrid[0:side, 0:side]
                    neighbor = block[(rows - down) % side, (columns - across) % side]
                    shape, left, right = fitted_by_hand(block * neighbor)
                    middle = (right - left) * gamma(2 / shape) / gamma(1 / shape)
                    features += [shape, middle, left, right]
                found.append(features)
        blocks.append(found)
    return np.concatenate(blocks, axis=1)


def test_features_and_score_are_those_of_the_definition() -> None:
    photo = carried("chelsea.png")[:200, :300]
    luma = np.round(photo @ np.array([65.481, 128.553, 24.966]) / 255 + 16)[:192, :288]
    expected = features_by_hand(luma)
    assert expected.shape == (6, 36)
    found, sharpness = niqe_features(niqe_luma(photo))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)  # the table has steps of 1e-3
    variance = smoothed_by_hand(luma**2) - smoothed_by_hand(luma) ** 2
    blocks = np.sqrt(variance).reshape(2, 96, 3, 96).mean((1, 3))
    np.testing.assert_allclose(sharpness, blocks.ravel(), rtol=1e-9)

    pristine = read_pristine(PUBLISHED)
    apart = pristine.mean - expected.mean(axis=0)
    pooled = (pristine.covariance + np.cov(expected, rowvar=False)) / 2
    score = math.sqrt(apart @ np.linalg.solve(pooled, apart))
    assert NIQE()(photo) == pytest.approx(score, rel=MAGNIFIED)


def test_the_published_parameters_travel_with_the_package_and_their_notice() -> None:
    folder = PUBLISHED.parent
    configured = (folder.parents[1] / "pyproject.toml").read_text()
    for file in (PUBLISHED, folder / "niqe_pristine_notice.txt"):
        assert file.is_file() and f'"{file.name}"' in configured
    notices = [(folder / "niqe_pristine_notice.txt").read_text(), (folder.parents[1] / "NOTICE").read_text()]
    for text in notices:
        assert "The University of Texas at Austin" in text
    pristine = read_pristine(PUBLISHED)
    np.testing.assert_array_equal(pristine.covariance, pristine.covariance.T)
    assert np.linalg.eigvalsh(pristine.covariance).min() > 0


def test_published_parameters_are_those_of_the_release(shared: Path) -> None:
    released = read_pristine(shared / "data" / "niqe" / "niqe_pristine.npz")
    for ours, theirs in zip(read_pristine(PUBLISHED), released, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "worsen",
    [
        lambda image: cv2.GaussianBlur(image, (0, 0), 2),
        lambda image: cv2.blur(image, (15, 1)),
        lambda image: (
            (image + np.random.default_rng(0).normal(0, 20, image.shape)).clip(0, 255).astype(np.uint8)
        ),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 5])[1], 1),
    ],
    ids=["blur", "motion", "noise", "jpeg"],
)
def test_worse_images_score_worse(parameters: Path, worsen) -> None:
    niqe = NIQE(str(parameters))
    photo = carried("chelsea.png")
    assert niqe(worsen(photo)) > niqe(photo) + 1


@pytest.mark.parametrize(("shape", "left", "right"), [(2.0, 1.0, 1.0), (1.0, 0.5, 2.0), (0.5, 1.0, 1.0)])
def test_the_fit_finds_the_parameters_that_samples_were_drawn_from(shape, left, right) -> None:
    """|x / scale| ** shape of a generalized Gaussian is Gamma(1 / shape); sides weigh like their scales."""
    generator = np.random.default_rng(0)
    count = 400_000
    size = generator.gamma(1 / shape, size=count) ** (1 / shape)
    is_left = generator.random(count) < left / (left + right)
    samples = np.where(is_left, -left * size, right * size)
    found = np.array(_fit(samples[None, None]))[:, 0]
    np.testing.assert_allclose(found, (shape, left, right), rtol=0.03)


def test_features_of_a_block_do_not_depend_on_other_blocks_far_away() -> None:
    generator = np.random.default_rng(0)
    image = generator.uniform(20, 230, (BLOCK, 3 * BLOCK + 40))
    features, sharpness = niqe_features(image)
    assert features.shape == (3, FEATURES) and sharpness.shape == (3,)
    image[:, 2 * BLOCK + 10 :] = cv2.blur(image[:, 2 * BLOCK + 10 :], (5, 5))
    changed, softened = niqe_features(image)
    np.testing.assert_array_equal(changed[0], features[0])
    assert not np.allclose(changed[2], features[2])
    assert softened[2] < 0.5 * sharpness[2]


def test_only_sharp_blocks_of_pristine_photos_count() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(6, FEATURES))
    sharpness = np.array([10, 8, 7.5, 7, 1, 9.0])
    fitted = fit_pristine([(features, sharpness)])
    kept = features[[0, 1, 5]]
    np.testing.assert_allclose(fitted.mean, kept.mean(axis=0))
    np.testing.assert_allclose(fitted.covariance, np.cov(kept, rowvar=False))


def test_the_published_parameters_give_the_published_score(shared: Path) -> None:
    """MATLAB R2021a: 5.72957338, a published PyTorch implementation: 5.7295763."""
    score = NIQE()(read_rgb(shared / "data/niqe/baboon.png"))
    assert score == pytest.approx(5.729573884, rel=MAGNIFIED)
    assert score == pytest.approx(5.72957338, abs=1e-6)


def test_a_photo_of_scikit_image_keeps_its_score() -> None:
    assert NIQE()(carried("chelsea.png")) == pytest.approx(2.62552668, rel=MAGNIFIED)


def test_values_are_normalized_by_the_gaussian_weighted_mean_and_deviation_around_them() -> None:
    luma = np.random.default_rng(0).uniform(0, 255, (12, 15))
    weights = np.exp(-((np.arange(7) - 3) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(weights, weights) / weights.sum() ** 2
    padded = np.pad(luma, 3, mode="edge")
    values, deviations = _normalize(luma)
    for row, column in ((0, 0), (5, 7), (11, 14), (3, 0)):
        seen = padded[row : row + 7, column : column + 7]
        mean = (window * seen).sum()
        deviation = math.sqrt((window * (seen - mean) ** 2).sum())
        assert deviations[row, column] == pytest.approx(deviation)
        assert values[row, column] == pytest.approx((luma[row, column] - mean) / (deviation + 1))


def test_each_scale_is_described_by_its_values_and_the_products_of_four_neighbors() -> None:
    """To the right, below, and below on either side; a block's last neighbor is its first pixel."""
    block = np.random.default_rng(0).normal(size=(6, 8))
    described = _describe(block[None])[0]
    shape, left, right = (value[0] for value in _fit(block[None]))
    np.testing.assert_allclose(described[:2], [shape, (left + right) / 2])
    for number, (down, across) in enumerate(((0, 1), (1, 0), (1, 1), (1, -1))):
        products = [
            block[row, column] * block[(row + down) % 6, (column + across) % 8]
            for row in range(6)
            for column in range(8)
        ]
        shape, left, right = (value[0] for value in _fit(np.array(products)[None, None]))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
        np.testing.assert_allclose(described[2 + 4 * number :][:4], [shape, mean, left, right])


def test_halving_keeps_constants_and_straight_slopes() -> None:
    """Eight taps of MATLAB's imresize: sum 1, and symmetric about the middle of two pixels."""
    assert HALVING.sum() == pytest.approx(1)
    np.testing.assert_array_equal(HALVING, HALVING[::-1])


def test_the_score_of_the_fitted_mean_is_a_distance(parameters: Path) -> None:
    """Moving the mean of the model moves the score; equal means and covariances give 0."""
    features, _ = niqe_features(niqe_luma(carried("coffee.png")))
    own = Pristine(features.mean(axis=0), np.cov(features, rowvar=False))
    write_pristine(parameters.with_name("own.npz"), own)
    assert NIQE(str(parameters.with_name("own.npz")))(carried("coffee.png")) == pytest.approx(0, abs=1e-6)
    assert NIQE(str(parameters))(carried("coffee.png")) > 1


def test_the_border_can_be_left_out(parameters: Path) -> None:
    photo = carried("coffee.png")
    cropped = NIQE(str(parameters))(photo[4:-4, 4:-4])
    assert NIQE(str(parameters), crop_border=4)(photo) == cropped
    assert NIQE(str(parameters))(photo) != cropped


def test_flat_blocks_are_left_out(parameters: Path) -> None:
    """A flat block has no distribution; the score is that of the others."""
    photo = carried("astronaut.png")[: 2 * BLOCK, : 3 * BLOCK]
    features, _ = niqe_features(np.full((BLOCK, BLOCK), 100.0))
    assert np.isnan(features).any()
    flat = np.concatenate([photo, np.full((BLOCK, 3 * BLOCK, 3), 90, np.uint8)])
    assert np.isfinite(NIQE(str(parameters))(flat))


def test_parameters_are_read_as_they_were_written_and_as_published(parameters: Path, tmp_path: Path) -> None:
    from scipy.io import savemat

    written = read_pristine(parameters)
    published = tmp_path / "modelparameters.mat"
    savemat(published, {"mu_prisparam": written.mean[None], "cov_prisparam": written.covariance})
    for ours, theirs in zip(written, read_pristine(published), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_option_files_name_the_metric(parameters: Path) -> None:
    photo = carried("coffee.png")
    metric = METRICS.build("NIQE", {"parameters": str(parameters)})
    assert metric(restored=photo) == NIQE(str(parameters))(photo)
    with pytest.raises(OptionError, match="parameters: no such file"):
        METRICS.build("NIQE", {"parameters": "nowhere.npz"})


def test_an_evaluation_passes_the_restored_image_only(parameters: Path) -> None:
    options = MetricOptions(type="NIQE", options={"parameters": str(parameters)})
    photo, other = carried("coffee.png"), carried("chelsea.png")
    metric = build_metrics({"niqe": options})["niqe"]
    offered = {"restored": photo, "gt": other, "lq": other}
    assert metric.measure(offered) == NIQE(str(parameters))(photo)


class TestRefused:
    @pytest.mark.parametrize(("suffix", "content"), [(".npz", b"PK"), (".mat", b"MATLAB"), (".npz", b"")])
    def test_damaged_files(self, tmp_path: Path, suffix: str, content: bytes) -> None:
        path = tmp_path / f"page{suffix}"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"page.*: no NIQE parameters .*fit_niqe.py") as caught:
            NIQE(str(path))
        assert "\n" not in str(caught.value)

    def test_other_shapes(self, tmp_path: Path) -> None:
        path = tmp_path / "small.npz"
        np.savez(path, mu_pris_param=np.zeros(18), cov_pris_param=np.eye(18))
        with pytest.raises(UserError, match=r"small.npz: .*\(18,\) and \(18, 18\)"):
            NIQE(str(path))

    def test_images_with_too_few_blocks(self, parameters: Path) -> None:
        with pytest.raises(ValueError, match="at least 96x96 pixels, got 95x300"):
            NIQE(str(parameters))(np.zeros((95, 300, 3), np.uint8))
        with pytest.raises(ValueError, match="1 of 1 blocks .* needs at least 2"):
            NIQE(str(parameters))(carried("coffee.png")[:100, :100])
