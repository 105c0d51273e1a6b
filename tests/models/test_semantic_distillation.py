"""Distillation of semantic priors: who learns from what, and that a resumed run weighs as before."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from basicsr.losses import L1Loss
from basicsr.models.base import gather_inputs
from basicsr.models.semantic_distillation import SemanticDistillationModel
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import ARCHS

NAFNET = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 1, "dec_blk_nums": [1]}
WITH_SPF = {"net": {"type": "NAFNet", **NAFNET}, "regions": 3, "prior_channels": 4, "permute": False}
SPD = {"type": "SmoothL1Loss"}


@pytest.fixture(scope="module")
def sgr(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg11.pth"
    torch.save(
        {f"features.0.{name}": value for name, value in nn.Conv2d(3, 64, 3).state_dict().items()}, path
    )
    return {"type": "SemanticRelationLoss", "vgg_weights": str(path), "vgg_type": "vgg11", "layer": "relu1_1"}


def build(**options) -> SemanticDistillationModel:
    torch.manual_seed(0)
    nets = {"g": ARCHS.build("NAFNet", NAFNET), "second": ARCHS.build("WithSPF", WITH_SPF)}
    for parameter in (parameter for net in nets.values() for parameter in net.parameters()):
        nn.init.normal_(parameter, std=0.2)
    return SemanticDistillationModel(nets, {"l_pix": L1Loss()}, **options)


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    lq, gt = torch.rand(2, 2, 3, 16, 24, generator=generator)
    blocks = torch.randint(0, 4, (2, 2, 3), generator=generator, dtype=torch.int32)
    return {"lq": lq, "gt": gt, "labels": blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)}


def gradients(model: SemanticDistillationModel, name: str) -> list[torch.Tensor]:
    model.zero_grad()
    model.training_step(batch())["loss"].backward()
    return [parameter.grad.clone() for parameter in model.network(name).parameters()]


def differ(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_priors_reach_the_first_network_alone(sgr):
    plain = build()
    both = build(spd=SPD, sgr=sgr, weighting="paper")
    assert differ(gradients(plain, "g"), gradients(both, "g"))
    assert not differ(gradients(plain, "second"), gradients(both, "second"))


def test_a_detached_cascade_trains_the_first_network_as_if_it_were_alone():
    model, data = build(detach_cascade=True), batch()
    net = copy.deepcopy(model.network("g"))
    L1Loss()(net(data["lq"]), data["gt"]).backward()
    alone = [parameter.grad for parameter in net.parameters()]
    assert not differ(gradients(model, "g"), alone)
    assert differ(gradients(build(), "g"), alone)


def test_the_second_network_sees_the_image_of_the_first_and_predictions_are_those_of_the_first():
    model, data = build(), batch()
    losses = model.training_step(data)
    with torch.no_grad():
        image = model.network("g")(data["lq"])
        second = model.network("second")(image, data["labels"])
        torch.testing.assert_close(losses["second_l_pix"], L1Loss()(second, data["gt"]))
        torch.testing.assert_close(losses["l_pix"], L1Loss()(image, data["gt"]))
        assert torch.equal(model.predict(data), image)
    torch.testing.assert_close(losses["loss"], losses["l_pix"] + losses["second_l_pix"])


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"weighting": "paper"}, (0.005, 200)),
        ({"weighting": "swapped"}, (200, 0.005)),
        ({"weighting": "paper", "lambda_sgr": 2.0}, (0.005, 2)),
    ],
)
def test_presets(sgr, options, weights):
    model, data = build(spd=SPD, sgr=sgr, **options), batch()
    losses = model.training_step(data)
    assert (losses["l_spd_weight"], losses["l_sgr_weight"]) == pytest.approx(weights)
    net, second = model.network("g"), model.network("second")
    with torch.no_grad():
        image = net(data["lq"])
        taught = second(*gather_inputs(second, data | {"lq": image}))
        spd = model.priors["l_spd"](image, taught)
        relation = model.priors["l_sgr"](image, taught, data["labels"])
    torch.testing.assert_close(losses["l_spd"], weights[0] * spd)
    torch.testing.assert_close(losses["l_sgr"], weights[1] * relation)


def test_the_probe_makes_each_gradient_the_wanted_share_and_is_then_over(sgr):
    model, data = build(spd=SPD, sgr=sgr, probe_ratio=0.5, probe_steps=1), batch()
    losses = model.training_step(data)
    net, second = model.network("g"), model.network("second")
    image = net(data["lq"])
    taught = second(*gather_inputs(second, data | {"lq": image})).detach()
    terms = {
        "l_pix": L1Loss()(image, data["gt"]),
        "l_spd": losses["l_spd_weight"] * model.priors["l_spd"](image, taught),
        "l_sgr": losses["l_sgr_weight"] * model.priors["l_sgr"](image, taught, data["labels"]),
    }
    norms = {}
    for name, term in terms.items():
        found = torch.autograd.grad(term, list(net.parameters()), retain_graph=True, allow_unused=True)
        norms[name] = nn.utils.get_total_norm([item for item in found if item is not None])
    torch.testing.assert_close(norms["l_spd"], 0.5 * norms["l_pix"], rtol=1e-4, atol=0)
    torch.testing.assert_close(norms["l_sgr"], 0.5 * norms["l_pix"], rtol=1e-4, atol=0)
    other = model.training_step(data | {"gt": data["gt"] / 2})
    assert other["l_spd_weight"] == losses["l_spd_weight"] and other["l_sgr_weight"] == losses["l_sgr_weight"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"spd": SPD, "probe_steps": 7}, 7),
        ({"spd": SPD, "weighting": "paper"}, 0),
        ({"spd": SPD, "lambda_spd": 1.0}, 0),
        ({}, 0),
    ],
)
def test_steps_are_slow_while_there_is_something_to_measure(options, expected):
    assert build(**options).slow_steps == expected


def test_a_resumed_probe_goes_on_where_it_was():
    model, other = (build(spd=SPD, probe_steps=3) for _ in range(2))
    first, *rest = [batch() | {"gt": batch()["gt"] * share} for share in (1.0, 0.7, 0.5, 0.2)]
    model.training_step(first)
    other.load_own_state(model.own_state())
    for data in rest:
        one, two = model.training_step(data), other.training_step(data)
        assert one["l_spd_weight"] == two["l_spd_weight"]
    assert model.own_state()["norms"][-1] == 3
    fresh = build(spd=SPD)
    fresh.load_own_state({})
    assert fresh.own_state()["norms"].abs().sum() == 0


def test_a_pass_that_is_taken_back_is_not_counted():
    """As the trainer does with what it skips: it restores the buffers."""
    model = build(spd=SPD, probe_steps=1)
    before = [buffer.clone() for buffer in model.buffers()]
    model.training_step(batch())
    for buffer, copy_ in zip(model.buffers(), before, strict=True):
        buffer.copy_(copy_)
    dark = batch() | {"gt": batch()["gt"] / 8}
    assert model.training_step(dark)["l_spd_weight"] == build(spd=SPD).training_step(dark)["l_spd_weight"]


def test_masks_of_a_segmenter_are_those_of_the_first_network_s_image():
    model, data = build(segmenter={"type": "Graph"}), batch()
    with torch.no_grad():
        image = model.network("g")(data["lq"])
        second = model.network("second")(image, model._segmented(image))
    losses = model.training_step({key: data[key] for key in ("lq", "gt")})
    torch.testing.assert_close(losses["second_l_pix"], L1Loss()(second, data["gt"]))
    assert "labels" in build().needs_in_training() and "labels" not in model.needs_in_training()


def test_a_segmenter_that_nobody_asks_is_refused():
    torch.manual_seed(0)
    nets = {name: ARCHS.build("NAFNet", NAFNET) for name in ("g", "second")}
    model = SemanticDistillationModel(nets, {"l_pix": L1Loss()}, segmenter={"type": "Graph"})
    with pytest.raises(OptionError, match=r"model_opt.segmenter: no part of the model takes masks"):
        model.check()


def test_export_is_the_plain_network(tmp_path: Path):
    """The file of ``g`` has the names of a plain network, and nothing of the second."""
    plain = ARCHS.build("NAFNet", NAFNET)
    assert build().network("g").state_dict().keys() == plain.state_dict().keys()


def tied(**options) -> SemanticDistillationModel:
    return build(share_weights=True, **options)


def are_same(net: nn.Module, other: nn.Module) -> bool:
    names = dict(other.named_parameters())
    return all(names.pop(name) is parameter for name, parameter in net.named_parameters()) and not names


def test_shared_weights_are_there_once_and_units_are_the_second_network_s_own():
    model = tied()
    net, second = model.network("g"), model.network("second")
    own = [name for name, _ in second.named_parameters() if not name.startswith("net.")]
    assert are_same(net, second.net)
    assert own and len(list(model.networks.parameters())) == len(list(net.parameters())) + len(own)
    assert not any(module._forward_hooks for module in net.modules()), "no unit is in the way of the first"


def test_shared_weights_get_the_gradients_of_both_places(sgr):
    """Those that two networks with equal weights get, added up."""
    model, apart = (
        build(spd=SPD, sgr=sgr, weighting="paper", share_weights=share) for share in (True, False)
    )
    apart.network("g").load_state_dict(model.network("g").state_dict())
    apart.network("second").load_state_dict(model.network("second").state_dict())
    first = gradients(apart, "g")
    second = [parameter.grad for parameter in apart.network("second").net.parameters()]
    # a sum of the same float32 numbers in another order; what cancels leaves an error of the larger ones
    for found, one, other in zip(gradients(model, "g"), first, second, strict=True):
        bound = 1e-5 * float(one.abs().max() + other.abs().max())
        torch.testing.assert_close(found, one + other, rtol=0, atol=bound)
    assert model.training_step(batch())["loss"] == apart.training_step(batch())["loss"]


def test_weights_stay_shared_in_a_copy_and_in_another_layout():
    """As the average of weights is made, and `train.channels_last`."""
    model = copy.deepcopy(tied()).to(memory_format=torch.channels_last).double()
    assert are_same(model.network("g"), model.network("second").net)


def test_a_plain_second_network_may_share_as_well():
    nets = {name: ARCHS.build("NAFNet", NAFNET) for name in ("g", "second")}
    model = SemanticDistillationModel(nets, {"l_pix": L1Loss()}, share_weights=True)
    assert len(list(model.networks.parameters())) == len(list(nets["g"].parameters()))


@pytest.mark.parametrize(
    ("changes", "frozen", "message"),
    [
        ({"width": 8}, False, "differ in .*same type and options"),
        ({"middle_blk_num": 0}, False, "differ in middle_blks.0"),
        ({}, True, "one of the two networks is frozen"),
    ],
)
def test_weights_that_cannot_be_shared(changes, frozen, message):
    nets = {"g": ARCHS.build("NAFNet", NAFNET | changes), "second": ARCHS.build("WithSPF", WITH_SPF)}
    nets["second"].requires_grad_(not frozen)
    with pytest.raises(ValueError, match=f"share_weights: .*{message}"):
        SemanticDistillationModel(nets, {"l_pix": L1Loss()}, share_weights=True)
