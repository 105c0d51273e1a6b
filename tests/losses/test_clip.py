"""Losses on clips: formulas, what reversal changes, published numbers."""

from __future__ import annotations

import pytest
import torch

from basicsr.losses import ClipCharbonnierLoss, FlowMagnitudeLoss, OrderInvariantLoss


def clips(frames: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, frames, 3, 8, 6, generator=generator) for _ in range(2))


def test_the_naive_loss_is_the_mean_of_all_frames():
    pred, target = clips()
    expected = ((pred - target).square() + 1e-6).sqrt().mean()
    torch.testing.assert_close(ClipCharbonnierLoss()(pred, target), expected)
    torch.testing.assert_close(ClipCharbonnierLoss(0.5, frames="sum")(pred, target), 3.5 * expected)


@pytest.mark.parametrize("frames", [2, 3, 6, 7])
def test_order_does_not_matter_to_the_order_invariant_loss(frames: int):
    pred, target = clips(frames)
    loss = OrderInvariantLoss()
    torch.testing.assert_close(loss(pred, target), loss(pred, target.flip(1)))
    torch.testing.assert_close(loss(pred, target), loss(pred.flip(1), target))
    assert loss(target.flip(1), target).item() == pytest.approx(0, abs=1e-9)
    assert ClipCharbonnierLoss()(target.flip(1), target) > 0.1


def test_each_frame_counts_twice_its_squared_error_near_the_target():
    """Where differences keep their sign, |a + b|^2 + |a - b|^2 is 2 a^2 + 2 b^2; the middle has that, too."""
    _, target = clips()
    ramp = torch.linspace(0, 3, 7).view(1, 7, 1, 1, 1)
    target = 0.1 * target + ramp
    error = 0.01 * clips()[0]
    expected = 2 * error.square().mean()
    torch.testing.assert_close(OrderInvariantLoss()(target + error, target), expected, rtol=1e-3, atol=0)


def test_the_middle_frame_is_compared_unless_switched_off():
    pred, target = clips()
    moved = pred.clone()
    moved[:, 3] += 1
    free = OrderInvariantLoss(supervise_center=False)
    assert torch.equal(free(pred, target), free(moved, target))
    gain = OrderInvariantLoss()(moved, target) - OrderInvariantLoss()(pred, target)
    middle = (moved[:, 3] - target[:, 3]).square().mean() - (pred[:, 3] - target[:, 3]).square().mean()
    torch.testing.assert_close(gain, 2 / 7 * middle)


def test_published_sums_lose_their_sign():
    _, target = clips()
    assert OrderInvariantLoss(compat="published", supervise_center=False)(-target, target) < 1e-9
    assert OrderInvariantLoss(supervise_center=False)(-target, target) > 0.1


@pytest.mark.parametrize("loss", [ClipCharbonnierLoss(), OrderInvariantLoss()])
def test_scales_are_averaged_and_cropped(loss):
    pred, target = clips()
    half = target[..., ::2, ::2]
    padded = torch.nn.functional.pad(half + 0.1, (0, 2, 0, 1))
    expected = (loss(pred, target) + loss(half + 0.1, half)) / 2
    torch.testing.assert_close(loss(pred, target, [pred, padded]), expected)


def test_flow_is_measured_at_each_scale_alike():
    flows = [torch.full((1, 7, 2, 8, 8), -3.0), torch.full((1, 7, 2, 4, 4), 1.0)]
    torch.testing.assert_close(FlowMagnitudeLoss(0.5)(flows), torch.tensor(1.0))


def test_other_shapes_are_refused():
    pred, target = clips()
    with pytest.raises(ValueError, match="shapes differ"):
        ClipCharbonnierLoss()(pred[:, :5], target)
    with pytest.raises(ValueError, match="a loss on clips"):
        OrderInvariantLoss()(pred[:, 0], target[:, 0])
