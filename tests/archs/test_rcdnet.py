"""RCDNet against the published numbers of two codes, and its model of rain."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from basicsr.archs.base import build_network
from basicsr.archs.rcdnet import RCDNet, line_kernels
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network, save_network
from tests.sister_parity import distance, fixture, tolerance

SMALL = {"num_stages": 3, "num_maps": 4, "num_duals": 5, "num_blocks": 2}


def with_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the number of batches that normalizations have seen, which published files carry."""
    means = [name for name in state if name.endswith("running_mean")]
    return state | {name.replace("running_mean", "num_batches_tracked"): torch.tensor(7) for name in means}


def as_published(net: RCDNet) -> dict[str, Tensor]:
    """The entries of the first published code: kernels for each step, parts that have no influence."""
    state = dict(net.state_dict())
    unused = torch.zeros_like(state["conv"])
    state["conv"] = torch.stack([state["conv"] if step == 1 else unused for step in range(len(net.eta11))])
    state["eta1"] = torch.ones(1)
    first = {name: tensor for name, tensor in state.items() if name.startswith("m_stage.0.")}
    return state | {name.replace("m_stage.0.", "mnet."): tensor for name, tensor in first.items()}


def in_simple_names(net: RCDNet) -> dict[str, Tensor]:
    """The entries of the second published code."""
    state = dict(net.state_dict())
    state["etaB_S"] = torch.cat([state.pop("eta2")[None], state.pop("eta12")])
    names = {"weight0": "C0", "conv": "C", "w_z_f": "C_z", "eta11": "etaM_S"}
    parts = {"xnet.": "proxNet_B_0.", "x_stage.": "proxNet_B_S.", "m_stage.": "proxNet_M_S.",
             "fxnet.": "proxNet_B_last_layer."}  # fmt: skip
    renamed = {}
    for name, tensor in state.items():
        new = names.get(name, name)
        for old, other in parts.items():
            if name.startswith(old):
                new = other + name.removeprefix(old)
        for block in range(9):
            for kind in ("resx", "resm"):
                new = new.replace(f"{kind}{block + 1}.", f"layer.{block}.")
        renamed[new] = tensor
    return renamed


def count(state: dict[str, Tensor]) -> int:
    """Learned values: those that gradients change."""
    fixed = ("running_mean", "running_var", "num_batches_tracked")
    return sum(tensor.numel() for name, tensor in state.items() if not name.endswith(fixed))


def test_published_numbers_of_parameters():
    with torch.device("meta"):
        net = RCDNet()
        assert sum(parameter.numel() for parameter in net.parameters()) == 2_975_186
        assert count(as_published(net)) == 3_166_355
        assert count(in_simple_names(net)) == 2_975_186


@pytest.mark.parametrize("published", [as_published, in_simple_names])
def test_files_of_both_published_codes_are_loaded(published, tmp_path):
    torch.manual_seed(0)
    net = RCDNet(**SMALL).eval()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter)
    state = {f"module.{name}": tensor for name, tensor in published(net).items()}
    torch.save({"epoch": 100, "state_dict": state}, tmp_path / "published.pth")
    rebuilt = rebuild_network(tmp_path / "published.pth").net
    assert rebuilt.block == {"type": "RCDNet", "img_channel": 3, **SMALL}
    loaded = RCDNet(**SMALL).eval()
    load_network(loaded, tmp_path / "published.pth")
    for name, tensor in net.state_dict().items():
        assert torch.equal(rebuilt.state_dict()[name], tensor), name
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.data
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("name", ["rcdnet", "rcdnet_perturbed", "rcdnet_simple"])
def test_parity_with_the_published_networks(name: str, tmp_path):
    options, state, arrays = fixture(name)
    torch.save(with_counters(state), tmp_path / "published.pth")
    net = rebuild_network(tmp_path / "published.pth").net
    published = {"num_stages": options.get("stage", options.get("S")), "num_maps": options["num_M"]}
    published |= {"num_duals": options["num_Z"], "num_blocks": options["T"]}
    assert net.block == {"type": "RCDNet", "img_channel": 3, **published}
    image = arrays["in_x"] / 255
    with torch.no_grad():
        stages = net.stages(image)
        assert torch.equal(stages["restored"], net(image))
    first, *backgrounds = [*stages["backgrounds"], stages["restored"]]
    found = {"B0": first}
    found |= {f"B_{step}": guess for step, guess in enumerate(backgrounds, start=1)}
    found |= {f"CM_{step}": layer for step, layer in enumerate(stages["rain_layers"], start=1)}
    assert {f"out_{key}" for key in found} == {key for key in arrays if key.startswith("out_")}
    for key, guess in found.items():
        assert distance(255 * guess, arrays[f"out_{key}"]) < tolerance(name), key


def test_channels_that_stand_behind_the_image_are_counted():
    state = RCDNet(extra_channel=2, **SMALL).state_dict()
    assert RCDNet.recognize(state) is None
    assert RCDNet.recognize(state, 2) == {"img_channel": 3, **SMALL}


def test_regions_stand_in_front_of_it(tmp_path):
    net = build_network({"type": "WithMAP", "net": {"type": "RCDNet", **SMALL}, "seg_channel": 2}).eval()
    torch.save(net.state_dict(), tmp_path / "published.pth")
    other = rebuild_network(tmp_path / "published.pth").net
    image, labels = torch.rand(1, 3, 13, 18), torch.randint(0, 4, (1, 13, 18))
    with torch.no_grad():
        assert torch.equal(net(image, labels), other(image, labels))


def test_what_rains_is_a_sum_of_kernels_at_places_where_it_rains():
    """Each rain layer is a sum of the learned kernels times maps that are not negative."""
    torch.manual_seed(0)
    net = RCDNet(**SMALL).eval()
    maps = []
    for network in net.m_stage:
        network.register_forward_hook(lambda module, inputs, result: maps.append(result))
    with torch.no_grad():
        layers = net.stages(torch.rand(1, 3, 12, 14))["rain_layers"]
    assert len(maps) == len(layers) == SMALL["num_stages"]
    for found, layer in zip(maps, layers, strict=True):
        assert found.min() >= 0
        place = torch.zeros(1, 3, 12 + 8, 14 + 8)
        for row in range(9):
            for column in range(9):
                share = torch.einsum("cn,bnhw->bchw", net.conv[..., 8 - row, 8 - column], found)
                place[..., row : row + 12, column : column + 14] += share
        expected = 0.1 * place[..., 4:-4, 4:-4] / 255
        torch.testing.assert_close(layer, expected, atol=1e-5 * float(layer.abs().max()), rtol=0)


def test_kernels_start_as_streaks():
    """As those of the published code: not negative, the same in each color, sums of .14 to 1."""
    net = RCDNet()
    assert torch.equal(net.conv, net.weight0)
    assert torch.equal(net.conv, net.conv[:1].expand_as(net.conv))
    kernels = line_kernels(32, 9)
    assert kernels.min() >= 0
    sums = kernels.sum((1, 2))
    assert sums.min() > 0.14 - 1e-6 and sums.max() < 1 + 1e-6
    spread = torch.arange(-4.0, 5.0).square()
    down, across = (kernels.sum(dim) @ spread / sums for dim in (2, 1))
    assert (down > across).all(), "they are steep"
    assert across[:12].mean() < across[12:].mean(), "the first 12 are thin"
    assert len({tuple(kernel.flatten().tolist()) for kernel in kernels}) == 32


def test_dual_channels_may_be_read_and_replaced():
    torch.manual_seed(0)
    net = RCDNet(**SMALL).eval()
    assert [point.name for point in net.feature_points] == ["duals.0", "duals.1", "duals.2"]
    assert len(RCDNet().feature_points) == 17
    image = torch.rand(2, 3, 9, 11)
    with torch.no_grad():
        plain = net(image)
        for point in net.feature_points:
            seen = []

            def replace(module, inputs, result, seen=seen):
                seen.append(result.shape)
                return result + 50

            hook = net.get_submodule(point.name).register_forward_hook(replace)
            assert not torch.equal(net(image), plain), point.name
            hook.remove()
            assert seen == [(2, point.channels, 9, 11)]


@pytest.mark.slow
def test_onnx_gives_the_same_numbers_at_every_size(tmp_path):
    """The export compares both, at sizes that it did not trace."""
    pytest.importorskip("onnxruntime", reason="ONNX needs the extra `export`")
    pytest.importorskip("onnxscript", reason="ONNX needs the extra `export`")
    from basicsr.restoration.onnx_export import export_onnx

    torch.manual_seed(0)
    save_network(tmp_path / "own.pth", RCDNet(**SMALL), None, {"type": "RCDNet", **SMALL})
    export_onnx(tmp_path / "own.pth", tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").exists()


@pytest.mark.slow
def test_compile_gives_the_same_numbers():
    torch.manual_seed(0)
    net = RCDNet(**SMALL).eval()
    image = torch.rand(1, 3, 20, 12)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(image), net(image), atol=1e-5, rtol=1e-5)
