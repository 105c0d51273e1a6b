"""Weights are found below what toolkits wrap around them; where several could be meant, they are listed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network, save_contents
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS

OPTIONS = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 0, "dec_blk_nums": [0]}


def network(seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return ARCHS.build("NAFNet", OPTIONS | options)


def named(prefix: str, seed: int = 0) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in network(seed).state_dict().items()}


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def file(folder: Path, contents: dict) -> Path:
    torch.save(contents, folder / "net.pth")
    return folder / "net.pth"


def taken(path: Path, param_key: str | None = None) -> list[nn.Module]:
    """What is loaded into a network, and what is rebuilt from the file alone."""
    loaded = network(9)
    load_network(loaded, path, param_key=param_key)
    return [loaded, rebuild_network(path, param_key=param_key).net]


def message_of(path: Path, param_key: str | None = None) -> str:
    messages = []
    for call in (lambda: load_network(network(), path, param_key=param_key),
                 lambda: rebuild_network(path, param_key=param_key)):  # fmt: skip
        with pytest.raises(UserError) as error:
            call()
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0] and messages[0].startswith(f"{path}: ") and len(messages[0]) < 500
    return messages[0]


WRAPPERS = [
    "params",
    "params_ema",
    "params-ema",
    "state_dict",
    "model",
    "model_state_dict",
    "net",
    "network",
    "ema",
    "",
]
PREFIXES = [
    "",
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "generator.",
    "net_g.",
    "model.",
    "a.b.c.",
]


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_is_unambiguous_is_taken(tmp_path, wrapper: str, prefix: str):
    state = named(prefix)
    contents = {wrapper: state, "epoch": 3, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}}
    for net in taken(file(tmp_path, contents if wrapper else state)):
        assert same(net, network())


def test_parts_that_were_compiled_each_by_itself(tmp_path):
    state = {
        name.replace("encoders.0.", "encoders.0._orig_mod."): tensor for name, tensor in named("").items()
    }
    assert all(same(net, network()) for net in taken(file(tmp_path, {"params": state})))


def test_an_average_as_pytorch_saves_it(tmp_path):
    averaged = AveragedModel(network())
    assert all(same(net, network()) for net in taken(file(tmp_path, averaged.state_dict())))


def test_another_network_beside_it_is_left_alone(tmp_path):
    """As in the state dict of a whole task: generator and discriminator."""
    other = {f"discriminator.{name}": tensor for name, tensor in nn.Conv2d(3, 8, 3).state_dict().items()}
    state = {"epoch": torch.tensor(3), **other, **named("generator.")}
    assert all(same(net, network()) for net in taken(file(tmp_path, {"state_dict": state})))


def test_loose_values_beside_weights_are_left_alone(tmp_path):
    assert all(same(net, network()) for net in taken(file(tmp_path, {**named(""), "epoch": 3})))


def test_several_entries_are_listed_and_one_is_chosen(tmp_path):
    path = file(tmp_path, {"model": named("", 1), "model_ema": named("", 2), "epoch": 3})
    count = len(named(""))
    output = message_of(path)
    assert f"several sets of weights: model ({count} weights), model_ema ({count} weights)" in output
    assert "path.param_key" in output and "--param_key" in output
    assert all(same(net, network(1)) for net in taken(path, "model"))
    assert all(same(net, network(2)) for net in taken(path, "model_ema"))
    assert all(same(net, network(2)) for net in taken(path, "model-ema"))
    assert "entry 'epoch' is not a dictionary of weights" in message_of(path, "epoch")
    assert "no entry 'generator'" in message_of(path, "generator")


def test_several_networks_in_one_entry_are_listed_and_one_is_chosen(tmp_path):
    path = file(tmp_path, {"model": {**named("net_g.", 1), **named("net_g_ema.", 2)}})
    count = len(named(""))
    output = message_of(path)
    assert f"several such networks: net_g ({count} weights), net_g_ema ({count} weights)" in output
    assert "--param_key" in output
    for key in ("net_g_ema", "model.net_g_ema"):
        assert all(same(net, network(2)) for net in taken(path, key))


def test_a_beginning_of_names_that_several_entries_have(tmp_path):
    path = file(tmp_path, {"a": named("g.", 1), "b": named("g.", 2)})
    assert "a.g (" in message_of(path, "g") and "b.g (" in message_of(path, "g")
    assert all(same(net, network(2)) for net in taken(path, "b.g"))


def test_published_names_of_entries_come_first(tmp_path):
    """Averaged before plain, both before what another toolkit may have beside them."""
    contents = {"other": named("", 3), "params": named("", 1), "params_ema": named("", 2)}
    assert all(same(net, network(2)) for net in taken(file(tmp_path, contents)))
    del contents["params_ema"]
    path = file(tmp_path, contents)
    assert all(same(net, network(1)) for net in taken(path))
    assert all(same(net, network(1)) for net in taken(path, "params_ema")), "an entry that it lacks"


def test_a_file_without_weights_says_what_it_holds(tmp_path):
    output = message_of(file(tmp_path, {"iteration": 3, "optimizer": {"state": {}, "param_groups": []}}))
    assert "holds no weights. It has: iteration (int), optimizer (dict)" in output
    many = {f"key{number}": number for number in range(1000)}
    assert "key9 (int), .." in message_of(file(tmp_path, many))


def test_a_wrapped_network_is_known_from_outside_in(tmp_path):
    """WithMAP holds a network whose own weights look like those of a known one."""
    torch.manual_seed(0)
    net = ARCHS.build("WithMAP", {"net": {"type": "NAFNet", **OPTIONS}, "seg_channel": 1})
    for prefix in ("", "model."):
        state = {prefix + name: tensor for name, tensor in net.state_dict().items()}
        rebuilt = rebuild_network(file(tmp_path, {"params": state}))
        assert rebuilt.type == "WithMAP" and same(rebuilt.net, net)


@pytest.mark.parametrize(
    "facts", [{"padding": "mirror"}, {"mask_value": "x"}, {"normalization": 3}, {"later": 1}]
)
def test_damaged_facts_are_one_line(tmp_path, facts: dict):
    own = {"network": {"type": "NAFNet", **OPTIONS}, "facts": facts}
    save_contents(tmp_path / "net.pth", {"params": named(""), "basicsr": own})
    output = message_of(tmp_path / "net.pth")
    assert "entry 'basicsr' has facts that this version does not know" in output
    assert next(iter(facts)) in output


def test_own_descriptions_that_leave_the_channels_of_map_open(tmp_path):
    """Written when their default was 2."""
    torch.manual_seed(0)
    net = ARCHS.build("SegNAFNet", OPTIONS | {"seg_channel": 2})
    own = {"network": {"type": "SegNAFNet", **OPTIONS}, "facts": {"mask_value": 1.0}}
    save_contents(tmp_path / "net.pth", {"params": net.state_dict(), "basicsr": own})
    rebuilt = rebuild_network(tmp_path / "net.pth")
    assert rebuilt.options["seg_channel"] == 2 and same(rebuilt.net, net)
