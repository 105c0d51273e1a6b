"""Losses on spectra: their formulas, and the published number."""

from __future__ import annotations

import math

import pytest
import torch

from basicsr.archs import MIMOUNet
from basicsr.losses import FrequencyLoss, MultiScaleFrequencyLoss, MultiScaleL1Loss
from basicsr.models.image_restoration import ImageRestorationModel
from tests.sister_parity import fixture, tolerance

# A transform of 80 random values has parts of about 9 and, in float32, errors of a few units in their last
# place; parts that nearly cancel have the same errors.
CLOSE = {"rtol": 16 * torch.finfo(torch.float32).eps, "atol": 1e-5}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def cosines_and_sines(image: torch.Tensor) -> torch.Tensor:
    """(.., H, W) -> (.., H, W, 2): sums with all waves, as the definition has them."""
    waves = []
    for length in image.shape[-2:]:
        steps = torch.arange(length, dtype=torch.float64)
        waves.append(torch.polar(torch.ones(()).double(), -2 * math.pi * steps[:, None] * steps / length))
    return torch.view_as_real(waves[0] @ image.to(torch.complex128) @ waves[1])


def test_formula() -> None:
    pred, target = random(2, 3, 8, 10), random(2, 3, 8, 10, seed=1)
    parts = (cosines_and_sines(pred) - cosines_and_sines(target)).abs()
    for reduction, reduced in (("mean", parts.mean()), ("sum", parts.sum()), ("none", parts)):
        loss = FrequencyLoss(0.5, reduction)(pred, target)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), 0.5 * reduced, **CLOSE)


def test_a_constant_difference_is_at_frequency_zero_alone() -> None:
    """There it is the sum of all values, since the transform is not normalized."""
    target = random(1, 3, 8, 8)
    parts = FrequencyLoss(reduction="none")(target + 0.5, target)
    expected = torch.zeros(1, 3, 8, 8, 2)
    expected[:, :, 0, 0, 0] = 0.5 * 64
    torch.testing.assert_close(parts, expected, rtol=0, atol=1e-5)


def test_the_target_itself_costs_nothing() -> None:
    target = random(1, 3, 5, 7)
    assert FrequencyLoss()(target, target) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_judged_in_float32(dtype: torch.dtype) -> None:
    pred, target = random(1, 3, 6, 6).to(dtype), random(1, 3, 6, 6, seed=1).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        loss = FrequencyLoss()(pred, target)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, FrequencyLoss()(pred.float(), target.float()))


def test_the_gradient_is_that_of_the_formula() -> None:
    pred, target = random(1, 1, 4, 6).requires_grad_(), random(1, 1, 4, 6, seed=1)
    exact = pred.detach().double().requires_grad_()
    FrequencyLoss()(pred, target).backward()
    (cosines_and_sines(exact) - cosines_and_sines(target)).abs().mean().backward()
    torch.testing.assert_close(pred.grad.double(), exact.grad, **CLOSE)


def test_shapes_that_differ_are_both_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\).*\(1, 3, 4, 4\)"):
        FrequencyLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 4, 4))


def test_scales_are_compared_one_by_one() -> None:
    scales = [random(2, 3, 8, 12), random(2, 3, 4, 6, seed=1)]
    target = random(2, 3, 8, 12, seed=2)
    terms = [FrequencyLoss()(scales[0], target)]
    terms.append(FrequencyLoss()(scales[1], torch.nn.functional.avg_pool2d(target, 2)))
    loss = MultiScaleFrequencyLoss(0.1, [2.0, 3.0], "area")(scales, target)
    torch.testing.assert_close(loss, 0.1 * (2 * terms[0] + 3 * terms[1]))


def test_a_model_hands_over_the_scales_of_its_network() -> None:
    torch.manual_seed(0)
    net = MIMOUNet(width=4, num_res=1)
    losses = {"l_scales": MultiScaleL1Loss(), "l_fft": MultiScaleFrequencyLoss(0.1)}
    model = ImageRestorationModel({"g": net}, losses)
    assert model.needs_in_training() == ("lq", "gt")
    batch = {"lq": random(2, 3, 16, 16), "gt": random(2, 3, 16, 16, seed=1)}
    terms = model.training_step(batch)
    scales = net.stages(batch["lq"])["scales"]
    torch.testing.assert_close(terms["l_fft"], losses["l_fft"](scales, batch["gt"]))
    torch.testing.assert_close(terms["loss"], terms["l_scales"] + terms["l_fft"])


@pytest.mark.data
@pytest.mark.usefixtures("shared")
def test_parity_with_the_losses_of_mimo_unet() -> None:
    _, _, arrays = fixture("losses_restoration")
    scales = [arrays[f"in_mimo_{size}"] for size in ("full", "half", "quarter")]
    content = MultiScaleL1Loss(resize="bilinear")(scales, arrays["in_mimo_gt"])
    spectra = MultiScaleFrequencyLoss(0.1, resize="bilinear")(scales, arrays["in_mimo_gt"])
    close = {"rtol": tolerance("losses_restoration"), "atol": 0}
    torch.testing.assert_close(content, arrays["out_mimo_content"], **close)
    torch.testing.assert_close(spectra, 0.1 * arrays["out_mimo_fft"], **close)
    torch.testing.assert_close(content + spectra, arrays["out_mimo_total"], **close)
