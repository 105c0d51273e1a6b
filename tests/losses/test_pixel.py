"""Pixel losses against their formulas."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from basicsr.config.load import load_config
from basicsr.losses import CharbonnierLoss, L1Loss, MSELoss, PSNRLoss
from basicsr.metrics import calculate_psnr
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import LOSSES

# The fixture has 2 * 3 * 8 * 9 values. Each is rounded a few times in float32, and again whenever it is
# added. Penalties are not negative, so that nothing cancels and the bounds are relative.
EPS = torch.finfo(torch.float32).eps
EACH = {"rtol": 8 * EPS, "atol": 0}
SUMMED = {"rtol": (432 + 8) * EPS, "atol": 0}
DECIBELS = 10 / math.log(10) * SUMMED["rtol"]

NAMES = ["CharbonnierLoss", "L1Loss", "MSELoss", "PSNRLoss"]
FORMULAS = {
    L1Loss: lambda difference: difference.abs(),
    MSELoss: lambda difference: difference**2,
    CharbonnierLoss: lambda difference: (difference**2 + 1e-12) ** 0.5,
}


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.rand(2, 2, 3, 8, 9, generator=generator)
    return pred, target


@pytest.mark.parametrize("kind", FORMULAS)
def test_formula(kind, images) -> None:
    pred, target = images
    penalties = FORMULAS[kind](pred.double() - target.double())
    torch.testing.assert_close(kind()(pred, target).double(), penalties.mean(), **SUMMED)
    torch.testing.assert_close(kind(0.5, "sum")(pred, target).double(), 0.5 * penalties.sum(), **SUMMED)


def test_charbonnier_eps_is_inside_the_root() -> None:
    zeros = torch.zeros(1, 3, 2, 2)
    assert CharbonnierLoss(eps=0.25)(zeros, zeros).item() == 0.5


@pytest.mark.parametrize("kind", [L1Loss, MSELoss, PSNRLoss])
def test_no_penalty_beyond_equality(kind, images) -> None:
    _, target = images
    assert kind()(target, target).item() == pytest.approx(-80 if kind is PSNRLoss else 0, abs=DECIBELS)


def test_psnr_loss_is_the_mean_of_the_images_negative_psnr(images) -> None:
    psnrs = [
        calculate_psnr(pred.double().numpy(), target.double().numpy(), input_order="CHW")
        for pred, target in zip(*images, strict=True)
    ]
    assert PSNRLoss()(*images).item() == pytest.approx(-sum(psnrs) / 2, abs=DECIBELS)
    assert PSNRLoss(0.5)(*images).item() == pytest.approx(-sum(psnrs) / 4, abs=DECIBELS)


def test_psnr_loss_averages_decibels_and_not_errors() -> None:
    target = torch.zeros(2, 3, 4, 4)
    pred = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    assert PSNRLoss()(pred, target).item() == pytest.approx(
        (-20 + 10 * math.log10(1e-4 + 1e-8)) / 2, abs=DECIBELS
    )


def test_psnr_loss_on_luma_is_the_luma_psnr(images) -> None:
    pred, target = (image[:1] for image in images)
    arrays = [image[0].double().numpy() for image in (pred, target)]
    expected = -calculate_psnr(*arrays, input_order="CHW", test_y_channel=True)
    assert PSNRLoss(toY=True)(pred, target).item() == pytest.approx(expected, abs=DECIBELS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_judged_in_float32(name: str, dtype: torch.dtype, images) -> None:
    pred, target = (image.to(dtype) for image in images)
    loss = LOSSES.build(name, {})(pred, target)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, LOSSES.build(name, {})(pred.float(), target.float()))


@pytest.mark.parametrize("name", NAMES)
def test_gradient_points_from_the_target_to_the_prediction(name: str) -> None:
    pred = torch.full((1, 3, 4, 4), 0.6, requires_grad=True)
    LOSSES.build(name, {})(pred, torch.full((1, 3, 4, 4), 0.5)).backward()
    assert (pred.grad > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_differ_are_both_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\).*\(1, 3, 4, 4\)"):
        LOSSES.build(name, {})(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize("name", NAMES)
def test_losses_have_no_state(name: str) -> None:
    loss = LOSSES.build(name, {"toY": True} if name == "PSNRLoss" else {})
    assert not loss.state_dict()
    assert not list(loss.parameters())


@pytest.mark.parametrize("kind", FORMULAS)
@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (2, 1, 8, 9), (1, 3, 1, 1), (9,), ()])
def test_a_weight_multiplies_each_penalty_before_it_is_reduced(kind, shape, images) -> None:
    """In particular the mean divides by the number of values, not by the sum of the weights."""
    pred, target = images
    weight = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    penalties = weight.double() * FORMULAS[kind](pred.double() - target.double())
    for reduction, reduced in (("mean", penalties.mean()), ("sum", penalties.sum()), ("none", penalties)):
        loss = kind(0.5, reduction)(pred, target, weight)
        assert loss.shape == reduced.shape and loss.dtype == torch.float32
        bounds = EACH if reduction == "none" else SUMMED
        torch.testing.assert_close(loss.double(), 0.5 * reduced, **bounds)


@pytest.mark.parametrize("kind", FORMULAS)
def test_without_reduction_there_is_a_value_for_each_value(kind, images) -> None:
    pred, target = images
    expected = 2 * FORMULAS[kind](pred.double() - target.double())
    torch.testing.assert_close(kind(2.0, "none")(pred, target).double(), expected, **EACH)


@pytest.mark.parametrize("luma", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_loss_weighs_the_squared_errors_of_an_image(luma: bool, channels: int, images) -> None:
    pred, target = images
    weight = torch.rand(2, 1 if luma else channels, 8, 9, generator=torch.Generator().manual_seed(1))
    error = pred.double() - target.double()
    if luma:
        factors = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64) / 255
        error = torch.einsum("bchw,c->bhw", error, factors)[:, None]
    mse = (weight.double() * error**2).mean((1, 2, 3))
    decibels = 10 * torch.log10(mse + 1e-8)
    for reduction, reduced in (
        ("mean", decibels.mean()),
        ("sum", decibels.sum()),
        ("none", decibels),
    ):
        loss = PSNRLoss(0.5, reduction, toY=luma)(pred, target, weight)
        assert loss.shape == reduced.shape
        torch.testing.assert_close(loss.double(), 0.5 * reduced, rtol=0, atol=DECIBELS)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_weights_are_applied_in_float32(name: str, images) -> None:
    weight = torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(1)).bfloat16()
    loss = LOSSES.build(name, {})(*images, weight)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, LOSSES.build(name, {})(*images, weight.float()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (4, 2, 3, 8, 9), (2, 2, 8, 9)])
def test_a_weight_that_does_not_broadcast_is_named_with_both_shapes(name: str, shape, images) -> None:
    output = f"weight {shape}, the compared values (2, 3, 8, 9)"
    with pytest.raises(ValueError, match=re.escape(output)):
        LOSSES.build(name, {})(*images, torch.ones(shape))


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_without_reduction_cannot_be_trained(name: str) -> None:
    with pytest.raises(OptionError, match=r"reduction: .* a scalar; use mean or sum \(got 'none'\)"):
        LOSSES.build(name, {"reduction": "none"})
    with pytest.raises(OptionError, match=r"reduction: expected one of mean, sum\. "):
        LOSSES.build(name, {"reduction": "median"})


def test_an_option_file_that_trains_without_reduction_is_refused_before_the_run(tmp_path) -> None:
    demo = Path(__file__).resolve().parents[2] / "options/train/Demo/SegNAFNet.yml"
    path = tmp_path / "map.yml"
    path.write_text(f"base: {demo}\ntrain:\n  pixel_opt: {{type: L1Loss, reduction: none}}\n")
    with pytest.raises(OptionError) as caught:
        load_config(path, [], "train")
    lines = [line for line in caught.value.mistakes if "reduction" in line]
    assert lines == ["train.pixel_opt.reduction: training needs a scalar; use mean or sum (got 'none')"]


@pytest.mark.parametrize("kind", [L1Loss, MSELoss, CharbonnierLoss, PSNRLoss])
def test_an_unknown_reduction_names_the_choices(kind) -> None:
    with pytest.raises(ValueError, match="reduction: expected one of mean, sum, none, got 'average'"):
        kind(reduction="average")


def test_published_options_of_psnr_loss() -> None:
    loss = LOSSES.build("PSNRLoss", {"loss_weight": 1, "reduction": "mean", "toY": False})
    assert isinstance(loss, PSNRLoss)
