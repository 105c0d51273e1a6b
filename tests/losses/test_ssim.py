"""SSIM as a loss: the metric inside the image, and the published number."""

from __future__ import annotations

import pytest
import torch

from basicsr.losses import L1Loss, SSIMLoss
from basicsr.metrics import calculate_ssim_2d
from basicsr.models.terms import Terms
from tests.sister_parity import fixture, tolerance

# Variances are differences of means of squares: some roundings of values below 1, divided by what they are in
# the images here, which is above 0.05.
CLOSE = 8 * torch.finfo(torch.float32).eps / 0.05


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    target, noise = torch.rand(2, 2, 3, 24, 20, generator=torch.Generator().manual_seed(0))
    return 0.6 * target + 0.4 * noise, target


def test_inside_the_image_it_is_the_metric(images) -> None:
    """The metric has only windows that lie inside."""
    pred, target = images
    expected = calculate_ssim_2d(pred[0].numpy(), target[0].numpy(), input_order="CHW")
    similarity = SSIMLoss()._similarity(*images)
    assert similarity[0, :, 5:-5, 5:-5].mean().item() == pytest.approx(expected, abs=CLOSE)


def test_outside_the_image_there_are_zeros(images) -> None:
    """So zeros around both images change nothing inside."""
    around = [torch.nn.functional.pad(image, (5,) * 4) for image in images]
    similarity = SSIMLoss()._similarity(*around)[..., 5:-5, 5:-5]
    torch.testing.assert_close(similarity, SSIMLoss()._similarity(*images), rtol=0, atol=CLOSE)


def test_it_is_the_negative_mean_over_values_and_images(images) -> None:
    similarity = SSIMLoss()._similarity(*images).double()
    each = SSIMLoss(0.5, "none")(*images)
    assert each.shape == (2,) and each.dtype == torch.float32
    torch.testing.assert_close(each.double(), -0.5 * similarity.mean((1, 2, 3)), rtol=1e-5, atol=0)
    torch.testing.assert_close(SSIMLoss(0.5)(*images).double(), -0.5 * similarity.mean(), rtol=1e-5, atol=0)


def test_equal_images_have_the_least_loss(images) -> None:
    _, target = images
    assert SSIMLoss()(target, target).item() == pytest.approx(-1, abs=1e-6)
    assert SSIMLoss()(*images) > -1


def test_flat_images_are_compared_by_their_brightness() -> None:
    """With a window of one pixel there is no border and no variance."""
    pred, target = torch.full((1, 1, 4, 4), 0.8), torch.full((1, 1, 4, 4), 0.4)
    expected = -(2 * 0.8 * 0.4 + 1e-4) / (0.8**2 + 0.4**2 + 1e-4)
    assert SSIMLoss(window_size=1)(pred, target).item() == pytest.approx(expected, abs=CLOSE)


def test_a_small_step_down_the_gradient_makes_images_more_alike(images) -> None:
    pred, target = images[0].clone().requires_grad_(), images[1]
    before = SSIMLoss()(pred, target)
    (gradient,) = torch.autograd.grad(before, pred)
    assert SSIMLoss()(pred - gradient, target) < before


def test_it_is_computed_in_float32_also_under_autocast(images) -> None:
    pred, target = (image.bfloat16() for image in images)
    with torch.autocast("cpu", torch.bfloat16):
        loss = SSIMLoss()(pred, target)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, SSIMLoss()(pred.float(), target.float()))


def test_it_has_no_state() -> None:
    assert not SSIMLoss().state_dict()


def test_an_even_window_is_refused() -> None:
    with pytest.raises(ValueError, match="window_size 10 is even; use 11"):
        SSIMLoss(window_size=10)


def test_shapes_that_differ_are_both_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\).*\(1, 3, 4, 4\)"):
        SSIMLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 4, 4))


@pytest.mark.data
@pytest.mark.usefixtures("shared")
def test_parity_with_the_loss_of_efficientderain() -> None:
    _, _, arrays = fixture("losses_restoration")
    losses = Terms({"l_pix": L1Loss(), "l_ssim": SSIMLoss(0.2)})
    terms = losses({"gt": arrays["in_effd_target"]}, {"restored": arrays["in_effd_output"]}, "gt")
    expected = {"loss": "total", "l_pix": "l1", "l_ssim": "ssim"}
    for name, array in expected.items():
        known = arrays[f"out_effd_{array}"] * (-0.2 if array == "ssim" else 1)
        torch.testing.assert_close(terms[name], known, rtol=tolerance("losses_restoration"), atol=0)
