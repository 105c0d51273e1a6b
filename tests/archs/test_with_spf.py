"""SPF units inside a network."""

from __future__ import annotations

import copy

import pytest
import torch

from basicsr.archs.base import recognize
from basicsr.utils.registry import ARCHS

NAFNET = {"type": "NAFNet", "width": 4, "enc_blk_nums": [1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1]}


def build(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    return ARCHS.build("WithSPF", {"net": NAFNET, "regions": 3, "prior_channels": 5, **options}).eval()


def example() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(2, 3, 13, 18), torch.randint(0, 6, (2, 13, 18), dtype=torch.int32)


def test_with_gamma_zero_it_is_the_network_inside():
    net, (x, labels) = build(), example()
    with torch.no_grad():
        assert torch.equal(net(x, labels), net.net(x))


NETWORKS = {
    "RCDNet": ({"num_stages": 3, "num_maps": 4, "num_duals": 4, "num_blocks": 1}, 3),
    "EfficientDerain": ({"width": 4}, 7),
    "Uformer": ({"embed_dim": 4, "depths": [1] * 9, "win_size": 2}, 9),
    "MIMOUNet": ({"width": 4, "num_res": 1}, 3),
    "MSResNet": ({"width": 4, "blocks": 1}, 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_with_feature_points_can_be_fused(name: str):
    """With gamma 0 it is the network inside; then masks matter, and every unit learns."""
    options, units = NETWORKS[name]
    net, (x, labels) = build(net={"type": name, **options}), example()
    assert len(net.units) == units
    with torch.no_grad():
        torch.testing.assert_close(net(x, labels), net.net(x))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        assert not torch.equal(net(x, labels), net(x, labels.clamp(max=1)))
    net(x, labels).square().mean().backward()
    assert all(unit.gamma.grad.abs().sum() > 0 for unit in net.units)


def test_masks_matter_once_gamma_is_not_zero():
    net, (x, labels) = build(), example()
    for unit in net.units:
        torch.nn.init.ones_(unit.gamma)
    with torch.no_grad():
        assert not torch.equal(net(x, labels), net(x, labels.clamp(max=1)))


def test_names_of_regions_do_not_matter():
    net, (x, labels) = build(regions=8, residual=False), example()
    # label maps in which no two regions have equal areas
    labels[:] = 0
    for region, rows in enumerate([2, 3, 4], 1):
        labels[:, sum(range(2, rows)) : sum(range(2, rows + 1))] = region
    renamed = torch.tensor([0, 3, 1, 2], dtype=torch.int32)[labels.long()]
    with torch.no_grad():
        assert torch.equal(net(x, labels), net(x, renamed))


def test_in_training_the_numbers_of_regions_are_drawn():
    net, (x, labels) = build(residual=False), example()
    with torch.no_grad():
        assert torch.equal(net(x, labels), net(x, labels))
        net.train()
        assert not torch.equal(net(x, labels), net(x, labels))


def test_there_is_a_unit_for_each_level_or_one_for_all_that_are_alike():
    assert len(build().units) == 5
    shared = {**NAFNET, "enc_blk_nums": [], "dec_blk_nums": []}
    assert len(build(net=shared, share=True).units) == 1
    names = {name.split(".")[1] for name in build(share=True).state_dict() if name.startswith("units.")}
    assert names == {"0", "1", "2", "3", "4"}, "of other widths and priors"


def test_a_copy_runs_by_its_own_units():
    net, (x, labels) = build(residual=False), example()
    other = copy.deepcopy(net)
    with torch.no_grad():
        before = net(x, labels)
        for parameter in other.parameters():
            parameter.zero_()
        assert torch.equal(net(x, labels), before)
        assert not torch.equal(other(x, labels), before)


def test_it_is_known_by_its_weights():
    block = recognize(build(residual=False).state_dict())
    assert block["type"] == "WithSPF" and block["net"]["type"] == "NAFNet"
    assert (block["regions"], block["prior_channels"], block["residual"]) == (3, 5, False)


def test_a_network_that_takes_label_maps_itself_is_refused():
    with pytest.raises(ValueError, match="SegNAFNet takes label maps itself"):
        build(net={"type": "SegNAFNet", "enc_blk_nums": [1], "dec_blk_nums": [1]})
