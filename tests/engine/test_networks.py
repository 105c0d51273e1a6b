"""What a network of an option file starts from: its own block, a file that describes it, and what changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from basicsr.checkpoints.weights import load_contents, save_network
from basicsr.config.schema import Config, DatasetOptions, NetworkOptions
from basicsr.engine.networks import start_network
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import ARCHS

CPU = torch.device("cpu")
TINY = {"width": 4, "enc_blk_nums": [1], "middle_blk_num": 0, "dec_blk_nums": [1]}


@pytest.fixture
def file(tmp_path) -> str:
    torch.manual_seed(0)
    block = {"type": "SegNAFNet", **TINY, "mask_dropout": 0.5}
    net = ARCHS.build("SegNAFNet", {key: value for key, value in block.items() if key != "type"})
    save_network(tmp_path / "net.pth", net, None, block)
    return str(tmp_path / "net.pth")


def config_of(network: NetworkOptions, **networks: NetworkOptions) -> Config:
    return Config(
        name="x", datasets={"test": DatasetOptions(type="PairedImageDataset", name="y")},
        network_g=network, networks=networks,
    )  # fmt: skip


def test_a_file_says_the_network_and_options_beside_it_change_it(file: str):
    net = start_network(config_of(NetworkOptions(weights=file, options={"mask_dropout": 0.25})), "g", CPU)
    assert net.block == {"type": "SegNAFNet", "seg_channel": 3, **TINY, "mask_dropout": 0.25}
    assert net.region_pool is not None and net.region_pool.mask_dropout == 0.25
    stored = load_contents(Path(file))["params"]
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in stored.items())


def test_options_of_a_network_inside_are_changed_one_by_one(tmp_path):
    inner = {"type": "NAFNet", **TINY}
    net = ARCHS.build("WithMAP", {"net": inner})
    save_network(tmp_path / "net.pth", net, None, {"type": "WithMAP", "net": inner})
    given = NetworkOptions(weights=str(tmp_path / "net.pth"), options={"net": {"drop_out_rate": 0.5}})
    assert start_network(config_of(given), "g", CPU).block["net"] == {**inner, "drop_out_rate": 0.5}


def test_the_name_of_shipped_weights_is_enough():
    assert start_network(config_of(NetworkOptions(weights="NAFNet")), "g", CPU).block["type"] == "NAFNet"


def test_options_that_the_network_of_the_file_does_not_have_are_named(file: str):
    given = NetworkOptions(weights=file, options={"mask_dropuot": 0.1})
    with pytest.raises(
        OptionError, match=r"network_g.mask_dropuot: SegNAFNet has no such option. Did you mean"
    ):
        start_network(config_of(given), "g", CPU)


def test_options_that_do_not_fit_the_weights_are_refused(file: str):
    with pytest.raises(UserError, match=r"of another shape.*Check the options beside network_g.weights"):
        start_network(config_of(NetworkOptions(weights=file, options={"width": 8})), "g", CPU)


def test_a_frozen_network_takes_no_gradient_and_random_ones_are_told(file: str, caplog):
    plain = NetworkOptions(type="NAFNet", options=TINY)
    config = config_of(plain, helper=NetworkOptions(weights=file, frozen=True))
    helper = start_network(config, "helper", CPU, is_trained=True)
    assert not any(parameter.requires_grad for parameter in helper.parameters())
    start_network(config, "g", CPU, is_trained=True)
    assert "random weights" not in caplog.text
    start_network(
        config_of(plain, helper=NetworkOptions(type="NAFNet", options=TINY, frozen=True)), "helper", CPU
    )
    assert "networks.helper.weights is not given: the network has random weights" in caplog.text
