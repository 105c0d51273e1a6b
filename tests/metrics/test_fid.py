"""The Fréchet distance in closed form; the network against torchvision's, with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from basicsr.config.schema import MetricOptions
from basicsr.metrics import FID
from basicsr.metrics.base import Metric
from basicsr.metrics.fid import frechet_distance
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import METRICS


def with_moments(mean: np.ndarray, root: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A sample (count, D) whose mean is exactly ``mean`` and whose covariance is root^T root."""
    sample = np.random.default_rng(seed).normal(size=(count, len(mean)))
    sample -= sample.mean(0)
    white = np.linalg.qr(sample)[0] * np.sqrt(count - 1)
    return white @ root + mean


def test_distance_of_numbers() -> None:
    """Two Gaussians on a line: (m1 - m2)^2 + (s1 - s2)^2."""
    x, y = np.array([[0.0], [2.0]]), np.array([[10.0], [16.0], [22.0]])
    expected = (1 - 16) ** 2 + (2**0.5 - 36**0.5) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_distance_of_independent_features_is_the_sum_of_theirs() -> None:
    x = with_moments(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 0.5]), 20, 0)
    y = with_moments(np.array([0.0, 2.5, 3.0]), np.diag([3.0, 1.0, 0.5]), 30, 1)
    assert frechet_distance(x, y) == pytest.approx(1 + 0.25 + 4 + 1, rel=1e-12)


def test_distance_by_the_root_of_a_matrix() -> None:
    """The published formula, where the covariances do not commute."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(50, 6)) + 1
    cx, cy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * sqrtm(cx @ cy).real)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-9)


def test_fewer_images_than_features() -> None:
    """Covariances of low rank: a shift of all by one vector costs its square, and nothing else."""
    x = np.random.default_rng(0).normal(size=(5, 64))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(x, x[::-1] + 0.5) == pytest.approx(64 * 0.25, rel=1e-12)
    y = np.zeros((5, 64))
    y[:, 0] = x[:, 0]
    expected = (x[:, 1:].mean(0) ** 2).sum() + np.trace(np.cov(x, rowvar=False)) + x[:, 0].var(ddof=1)
    cross = np.cov(x, rowvar=False)[0, 0] ** 0.5 * x[:, 0].std(ddof=1)
    assert frechet_distance(x, y) == pytest.approx(expected - 2 * cross, rel=1e-12)


def test_one_image_has_no_distance() -> None:
    with pytest.raises(ValueError, match="at least 2 images on each side, got 1 and 3"):
        frechet_distance(np.zeros((1, 4)), np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"features.0.weight": torch.zeros(1)}, "has no 'fc.weight'; use pytorch-fid's"),
        ({"fc.weight": torch.zeros(10, 2048)}, "has 10 classes; use pytorch-fid's"),
        ({"fc.weight": torch.zeros(1008, 2048)}, "has no 'Conv2d_1a_3x3.conv.weight'; use pytorch-fid's"),
        ([1, 2], "holds a list instead of named weights; use pytorch-fid's"),
    ],
)
def test_other_files_are_told_in_one_line(tmp_path, state, message: str) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=f"w.pth: {message}") as told:
        FID(str(tmp_path / "w.pth"), device="cpu")
    assert "\n" not in str(told.value)


def test_without_the_file_the_hint_is_given() -> None:
    with pytest.raises(OptionError, match="weights: no such file"):
        METRICS.build("FID", {"weights": "nowhere.pth"})
    with pytest.raises(OptionError, match="weights: required by FID, but not given; it is a file, pyt"):
        METRICS.build("FID", {})


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """torchvision's network with random weights that keep the size of what they see, and its file."""
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    network = inception_v3(weights=None, init_weights=False, transform_input=False).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(network.state_dict(), path)
    return network, path


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 40, 48, 3), np.uint8)


def resized(image: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(image / 255).permute(2, 0, 1)[None].float()
    return 2 * torch.nn.functional.interpolate(tensor, (299, 299), mode="bilinear") - 1


# What float32 may differ by after 48 layers; features are about 1.
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


@pytest.mark.slow
def test_features_are_those_of_torchvision(inception) -> None:
    network, path = inception
    network.fc = torch.nn.Identity()
    image = photos(1)[0]
    with torch.no_grad():
        expected = network(resized(image))[0]
    fid = FID(str(path), device="cpu")
    assert not fid.network.is_fid and expected.std() > 0.01
    torch.testing.assert_close(torch.from_numpy(fid.features(image)), expected, **CLOSE)
    torch.testing.assert_close(torch.from_numpy(fid.features(image / 255)), expected, **CLOSE)


@pytest.mark.slow
def test_the_other_network_pools_otherwise(inception, tmp_path, monkeypatch) -> None:
    """Its average leaves out what is outside of the picture; the last block takes the largest value."""
    import torchvision.models.inception as modules

    network, path = inception
    state = torch.load(path, weights_only=True)
    state["fc.weight"], state["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    state = {key: value for key, value in state.items() if not key.startswith("AuxLogits")}
    torch.save(state, tmp_path / "fid.pth")
    fid = FID(str(tmp_path / "fid.pth"), device="cpu")
    assert fid.network.is_fid
    image = photos(1)[0]
    features = torch.from_numpy(fid.features(image))

    average, largest = torch.nn.functional.avg_pool2d, torch.nn.functional.max_pool2d

    def pooled(x: torch.Tensor, kernel_size: int, stride: int, padding: int) -> torch.Tensor:
        if x.shape[1] == 2048:
            return largest(x, kernel_size, stride, padding)
        return average(x, kernel_size, stride, padding, count_include_pad=False)

    network.fc = torch.nn.Identity()
    monkeypatch.setattr(modules.F, "avg_pool2d", pooled)
    with torch.no_grad():
        expected = network(resized(image))[0]
    torch.testing.assert_close(features, expected, **CLOSE)


@pytest.mark.slow
def test_a_set_gets_one_figure(inception) -> None:
    _, path = inception
    tool = Metric.of(MetricOptions(type="FID", options={"weights": str(path), "device": "cpu"}))
    gt = photos(3)
    same = tool.summarize([tool.measure({"restored": image, "gt": image}) for image in gt]).mean
    dark = tool.summarize([tool.measure({"restored": image // 4, "gt": image}) for image in gt]).mean
    values = [tool.measure({"restored": image // 4, "gt": image}) for image in gt]
    ours, theirs = (np.stack(side) for side in zip(*values, strict=True))
    assert ours.shape == (3, 2048) and dark == frechet_distance(ours, theirs)
    assert same == pytest.approx(0, abs=1e-6 * dark) and dark > 0
