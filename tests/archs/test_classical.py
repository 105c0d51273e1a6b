"""Classical methods as networks without weights: their formulas, and that they are tested, never trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from basicsr.archs.base import build_network
from basicsr.archs.richardson_lucy import RichardsonLucy
from basicsr.archs.unsharp_mask import UnsharpMask
from basicsr.config.load import load_config
from basicsr.engine.networks import start_network
from basicsr.layers.gaussian import gaussian_blur
from basicsr.utils.errors import OptionError
from basicsr.utils.log import logger

CPU = torch.device("cpu")


def image(height: int = 40, width: int = 56) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def reference_blur(values: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(values, (0, 0, sigma, sigma), mode="nearest")


@pytest.mark.parametrize("sigma", [0.5, 1.5, 4.0])
def test_gaussian_blur_is_that_of_scipy(sigma: float):
    expected = reference_blur(image().numpy(), sigma)
    # The kernel is computed in float32.
    np.testing.assert_allclose(gaussian_blur(image(), sigma).numpy(), expected, rtol=1e-5)


def test_an_unsharp_mask_adds_the_detail_that_blur_removes():
    x = image()
    expected = x.numpy() + 0.7 * (x.numpy() - reference_blur(x.numpy(), 2.0))
    np.testing.assert_allclose(UnsharpMask(sigma=2.0, amount=0.7)(x).numpy(), expected, atol=1e-5)


def test_richardson_lucy_is_its_formula():
    x = image()
    expected = x.numpy()
    for _ in range(4):
        expected = expected * reference_blur(x.numpy() / reference_blur(expected, 1.2), 1.2)
    # Relative errors of the kernel, 1e-6, add up over eight blurs.
    np.testing.assert_allclose(RichardsonLucy(sigma=1.2, iterations=4)(x).numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", [UnsharpMask, RichardsonLucy])
def test_what_has_no_detail_stays(kind: type):
    flat = torch.full((1, 3, 20, 30), 0.4)
    torch.testing.assert_close(kind()(flat), flat)
    black = torch.zeros(1, 3, 20, 30)
    assert kind()(black).isfinite().all()


def test_blur_by_the_guessed_kernel_is_undone_in_part():
    """The error of what was blurred falls with iterations, as the kernel is right and nothing was rounded."""
    squares = (torch.arange(64) // 8 % 2).double()
    sharp = 0.2 + 0.6 * (squares[:, None] + squares - 2 * squares[:, None] * squares).expand(1, 3, 64, 64)
    blurred = gaussian_blur(sharp, 1.5)
    errors = [
        float((RichardsonLucy(sigma=1.5, iterations=count)(blurred) - sharp).square().mean())
        for count in (1, 5, 20)
    ]
    before = float((blurred - sharp).square().mean())
    assert before > errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("kind", ["UnsharpMask", "RichardsonLucy"])
def test_it_is_tested_without_a_word_about_weights_and_never_trained(kind: str, tmp_path, caplog):
    path = tmp_path / "test.yml"
    data = f"{{name: any, type: PairedImageDataset, dataroot_gt: {tmp_path}, dataroot_lq: {tmp_path}}}"
    path.write_text(f"name: any\nnum_gpu: 0\nnetwork_g: {{type: {kind}}}\ndatasets: {{test: {data}}}\n")
    config = load_config(path, (), "test")
    logger().propagate = True
    caplog.set_level("INFO")
    start_network(config, "g", CPU)
    assert "random weights" not in caplog.text and f"{kind}: 0 parameters" in caplog.text
    with pytest.raises(OptionError, match=f"network_g.type: {kind} is not trained, only tested"):
        start_network(config, "g", CPU, is_trained=True)


def test_options_are_checked():
    with pytest.raises(OptionError, match="sigma"):
        build_network({"type": "UnsharpMask", "sigma": 0})
