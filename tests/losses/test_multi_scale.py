"""Losses on several scales: their formulas, and what the target becomes."""

from __future__ import annotations

import pytest
import torch

from basicsr.archs import SRN
from basicsr.layers.pyramid import gaussian_pyramid
from basicsr.losses import MultiScaleL1Loss, MultiScaleMSELoss
from basicsr.losses.multi_scale import target_scales
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import LOSSES
from tests.sister_parity import fixture, tolerance

# Means of up to 2 * 3 * 16 * 24 values, none of them negative.
CLOSE = {"rtol": 2304 * torch.finfo(torch.float32).eps, "atol": 0}
RESIZES = ["area", "bilinear", "antialias", "nearest", "gaussian"]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def scales() -> list[torch.Tensor]:
    return [random(2, 3, 16 // 2**k, 24 // 2**k, seed=k) for k in range(3)]


@pytest.mark.parametrize("resize", RESIZES)
def test_targets_have_the_sizes_of_the_scales_and_the_finest_is_the_target(scales, resize: str):
    target = random(2, 3, 16, 24, seed=9)
    targets = target_scales(target, scales, resize)
    assert [image.shape for image in targets] == [image.shape for image in scales]
    assert torch.equal(targets[0], target)


@pytest.mark.parametrize("resize", RESIZES)
def test_a_padded_target_repeats_its_last_row_and_column(scales, resize: str):
    target = random(2, 3, 13, 21, seed=9)
    padded = torch.nn.functional.pad(target, (0, 3, 0, 3), mode="replicate")
    expected = target_scales(padded, scales, resize)
    for image, known in zip(target_scales(target, scales, resize), expected, strict=True):
        assert torch.equal(image, known)


def test_how_targets_become_smaller(scales):
    target = random(2, 3, 16, 24, seed=9)
    made = {resize: target_scales(target, scales, resize) for resize in RESIZES}
    squares = target.unfold(2, 4, 4).unfold(3, 4, 4)
    torch.testing.assert_close(made["area"][2], squares.mean((-2, -1)))
    torch.testing.assert_close(made["bilinear"][2], squares[..., 1:3, 1:3].mean((-2, -1)))
    assert torch.equal(made["nearest"][2], target[..., ::4, ::4])
    assert torch.equal(made["gaussian"][2], gaussian_pyramid(target, 3)[2])
    # a triangle of 8 pixels, away from the edge
    triangle = torch.tensor([1.0, 3, 5, 7, 7, 5, 3, 1]) / 32
    inside = (target[..., 2:10, 6:14] * triangle[:, None] * triangle).sum((-2, -1))
    torch.testing.assert_close(made["antialias"][2][..., 1, 2], inside)


@pytest.mark.parametrize(
    ("kind", "penalty"), [(MultiScaleL1Loss, torch.abs), (MultiScaleMSELoss, torch.square)]
)
def test_formula(scales, kind, penalty):
    target = random(2, 3, 16, 24, seed=9)
    targets = target_scales(target, scales, "area")
    means = [penalty(pred.double() - goal).mean() for pred, goal in zip(scales, targets, strict=True)]
    torch.testing.assert_close(kind()(scales, target).double(), sum(means), **CLOSE)
    weighted = 0.5 * (2 * means[0] + 0 * means[1] + 3 * means[2])
    torch.testing.assert_close(kind(0.5, [2, 0, 3])(scales, target).double(), weighted, **CLOSE)


@pytest.mark.parametrize("kind", [MultiScaleL1Loss, MultiScaleMSELoss])
def test_the_target_itself_costs_nothing(kind):
    target = random(2, 3, 16, 24)
    assert kind(resize="gaussian")(gaussian_pyramid(target, 3), target) == 0


@pytest.mark.usefixtures("shared")
@pytest.mark.data
def test_parity_with_deepdeblur(shared):
    _, _, arrays = fixture("losses_restoration")
    scales, targets = ([arrays[f"in_dd_{kind}{k}"] for k in range(3)] for kind in ("out", "gt"))
    total = MultiScaleL1Loss().compare(scales, targets)
    torch.testing.assert_close(total, arrays["out_dd_total"], rtol=tolerance("losses_restoration"), atol=0)


@pytest.mark.usefixtures("shared")
@pytest.mark.data
def test_parity_with_the_content_loss_of_mimo_unet(shared):
    _, _, arrays = fixture("losses_restoration")
    scales = [arrays[f"in_mimo_{size}"] for size in ("full", "half", "quarter")]
    loss = MultiScaleL1Loss(resize="bilinear")(scales, arrays["in_mimo_gt"])
    torch.testing.assert_close(loss, arrays["out_mimo_content"], rtol=tolerance("losses_restoration"), atol=0)


def test_a_number_of_weights_that_does_not_fit_is_one_line(scales):
    with pytest.raises(UserError, match=r"^MultiScaleL1Loss.weights: 2 for 3 scales; give one per scale"):
        MultiScaleL1Loss(weights=[1, 1])(scales, random(2, 3, 16, 24))


def test_options_are_checked():
    with pytest.raises(OptionError, match=r"weights.*-1"):
        LOSSES.build("MultiScaleMSELoss", {"weights": [1, -1]})
    with pytest.raises(ValueError, match="resize: expected one of area, .*, gaussian, got 'cubic'"):
        MultiScaleL1Loss(resize="cubic")


def test_a_model_hands_over_the_scales_of_its_network():
    torch.manual_seed(0)
    net = SRN(width=4, blocks=1)
    model = ImageRestorationModel({"g": net}, {"l_scales": MultiScaleMSELoss(resize="antialias")})
    assert model.needs_in_training() == ("lq", "gt")
    batch = {"lq": random(2, 3, 20, 24), "gt": random(2, 3, 20, 24, seed=1)}
    terms = model.training_step(batch)
    expected = MultiScaleMSELoss(resize="antialias")(net.stages(batch["lq"])["scales"], batch["gt"])
    torch.testing.assert_close(terms["l_scales"], expected)
