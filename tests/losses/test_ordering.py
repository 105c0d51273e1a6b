"""Losses on scores: formulas, and the published video losses together with those on clips."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from basicsr.archs.hypercut import HyperCUTNet
from basicsr.archs.ordering import both_scores, directions, mirror_scores
from basicsr.losses import (
    ClipCharbonnierLoss,
    FlowMagnitudeLoss,
    HyperCUTLoss,
    OrderingLoss,
    OrderInvariantLoss,
)
from tests.sister_parity import distance, fixture

PUBLISHED = {"supervise_center": False, "compat": "published"}
# Scalars of float32 sums over some 10^5 values of size 1.
TOLERANCE = 1e-5


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_ordering_loss_is_its_formula():
    u, v = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[-1.0, 1.0, 3.0]])
    differ = (softplus(-1) + softplus(-2) + softplus(1.5)) / 3
    same = (softplus(2) + softplus(1) + softplus(-0.5)) / 3
    assert OrderingLoss(2.0)(u, v).item() == pytest.approx(differ + same, rel=1e-6)
    assert OrderingLoss()(u[:, :1], v[:, :1]).item() == pytest.approx(softplus(-1) / 2, rel=1e-6)


def test_labels_are_not_needed():
    """Reversing the clips, or exchanging the two sides of the plane, changes nothing that is learned."""
    u, v = torch.randn(4, 3), torch.randn(4, 3)
    torch.testing.assert_close(OrderingLoss()(u, v), OrderingLoss()(-u, -v))


def test_predictions_are_pushed_to_the_canonical_side():
    scores = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 3.0]], requires_grad=True)
    loss = HyperCUTLoss(0.2)(scores)
    expected = 0.1 * sum(softplus(-x) for x in scores.flatten().tolist())
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert (scores.grad < 0).all(), "a step against the gradient raises each score"
    torch.testing.assert_close(HyperCUTLoss(side="published")(-scores), HyperCUTLoss()(scores))


@pytest.mark.parametrize("name", ["hypercut_losses", "hypercut_losses_b1"])
class TestPublishedLosses:
    def load(self, name: str) -> tuple[HyperCUTNet, dict[str, Tensor]]:
        _, state, arrays = fixture(name)
        net = HyperCUTNet(compat="published").eval()
        net.load_state_dict(state)
        return net, arrays

    def near(self, value: Tensor, wanted: Tensor) -> bool:
        return distance(value.detach(), wanted) < TOLERANCE

    def test_of_one_scale(self, name: str):
        net, arrays = self.load(name)
        pred, gt = arrays["in_pred"], arrays["in_gt"]
        order = OrderInvariantLoss(**PUBLISHED)(pred, gt)
        with torch.no_grad():
            pushed = HyperCUTLoss(1.0, side="published")(mirror_scores(net, pred))
        assert self.near(order, arrays["out_jin_order_inv"])
        assert self.near(ClipCharbonnierLoss()(pred, gt), arrays["out_jin_naive"])
        assert self.near(pushed, arrays["out_jin_hypercut_pred"])
        assert self.near(order + 0.2 * pushed, arrays["out_jin_hypercut"])

    def test_of_four_scales_with_flow(self, name: str):
        net, arrays = self.load(name)
        pred, gt = arrays["in_pred"], arrays["in_gt"]
        scales = [pred, *(arrays[f"in_pred_s{scale}"] for scale in (1, 2, 3))]
        flow = FlowMagnitudeLoss(0.02)([arrays[f"in_flow_{scale}"] for scale in range(4)])
        order = OrderInvariantLoss(frames="sum", **PUBLISHED)(pred, gt, scales)
        naive = ClipCharbonnierLoss(frames="sum")(pred, gt, scales)
        with torch.no_grad():
            pushed = HyperCUTLoss(0.2, side="published")(mirror_scores(net, pred))
        assert self.near(order, arrays["out_purohit_order_inv_part"])
        assert self.near(naive, arrays["out_purohit_naive_part"])
        assert self.near(flow / 0.02, arrays["out_purohit_flow_l1"])
        assert self.near(order + flow, arrays["out_purohit_order_inv"])
        assert self.near(naive + flow, arrays["out_purohit_naive"])
        assert self.near(order + flow + pushed, arrays["out_purohit_hypercut"])


def test_published_hits_and_agreement_of_predictions():
    _, state, arrays = fixture("hypercut_losses_b1")
    net = HyperCUTNet(compat="published").eval()
    net.load_state_dict(state)
    with torch.no_grad():
        scores, swapped = both_scores(net, arrays["in_pred"])
    hit = (scores[:, 0] * swapped[:, 0] < 0).sum()
    found = [hit, (directions(scores[:, :2]) != 0).sum(), (directions(scores) != 0).sum()]
    assert [int(value) for value in found] == arrays["out_acc"].tolist()
