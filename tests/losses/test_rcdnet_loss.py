"""The loss of RCDNet against its formula and the published numbers."""

from __future__ import annotations

import pytest
import torch

from basicsr.losses import RCDNetLoss
from tests.sister_parity import distance, fixture, tolerance


@pytest.mark.data
@pytest.mark.usefixtures("shared")
def test_parity_with_the_published_loss():
    name = "losses_restoration"
    _, _, arrays = fixture(name)
    images = {key: arrays[f"in_rcd_{key}"] / 255 for key in ("O", "GT", "B0", "B", "CM")}
    backgrounds, rain_layers = [images["B0"], *images["B"][:-1]], list(images["CM"])
    inputs = (images["B"][-1], images["GT"], images["O"], backgrounds, rain_layers)
    assert distance(RCDNetLoss()(*inputs), arrays["out_rcd_total"]) < tolerance(name)
    # each published term is there by its weight
    terms = {
        "B0": RCDNetLoss(1, 0, 1, 0, 0)(*inputs[:3], backgrounds[:1], rain_layers),
        "Bs": RCDNetLoss(1, 0, 1, 0, 0)(*inputs[:3], backgrounds[1:], rain_layers),
        "B_last": RCDNetLoss(1, 1, 0, 0, 0)(*inputs),
        "Rs": RCDNetLoss(1, 0, 0, 1, 0)(*inputs),
        "R_last": RCDNetLoss(1, 0, 0, 0, 1)(*inputs),
    }
    for term, value in terms.items():
        weight = {"B_last": 1, "R_last": 0.9}.get(term, 0.1)
        published = arrays[f"out_rcd_{term}"]
        assert min(distance(value, published), distance(weight * value, published)) < tolerance(name), term


def test_a_model_that_explains_the_image_costs_nothing_and_errors_are_squared_in_the_range():
    target = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) / 2
    lq = target + 0.25
    rain = [torch.full_like(target, 0.25)] * 2
    # the rain of lq - target is rounded, each time in the last of 24 bits
    assert RCDNetLoss()(target, target, lq, [target] * 2, rain) < (255 * 2**-24) ** 2
    off = RCDNetLoss(value_range=1)(target + 0.5, target, lq, [target] * 2, rain)
    torch.testing.assert_close(off, torch.tensor(0.25))
    weights = {"restored_weight": 0.0, "background_weight": 2.0, "rain_weight": 3.0, "last_rain_weight": 5.0}
    loss = RCDNetLoss(0.5, **weights, value_range=2.0)
    found = loss(target, target, lq, [target + 0.5, target], [rain[0], rain[1] + 0.5])
    torch.testing.assert_close(found, torch.tensor(0.5 * 4 * 0.25 * (2 + 3 + 5)))


def test_shapes_that_differ_are_named():
    image, small = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5)
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 5\).*\(1, 3, 4, 4\)"):
        RCDNetLoss()(image, image, image, [small], [image])
