"""Uformer against the published numbers, and its windows against their definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from basicsr.archs.base import build_network
from basicsr.archs.uformer import (
    LeWinBlock,
    Stage,
    Uformer,
    WindowAttention,
    from_windows,
    shift_mask,
    to_windows,
)
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network, save_network
from tests.sister_parity import distance, fixture, tolerance

SMALL = {"embed_dim": 4, "depths": [1, 2, 1, 1, 2, 1, 1, 2, 1], "win_size": 2}
LARGE = {"embed_dim": 32, "depths": [1, 2, 8, 8, 2, 8, 8, 2, 1]}


def published_file(state: dict[str, Tensor], win_size: int, path: Path) -> Path:
    """A file as the published code writes it, with the tables of offsets that it keeps among the weights."""
    tables = [name for name in state if name.endswith("relative_position_bias_table")]
    index = torch.zeros(win_size**2, win_size**2, dtype=torch.long)
    state = state | {name.replace("bias_table", "index"): index for name in tables}
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": {"state": {}}}, path)
    return path


@pytest.fixture
def published(tmp_path) -> Path:
    torch.manual_seed(0)
    return published_file(dict(Uformer(**SMALL).state_dict()), 2, tmp_path / "published.pth")


@pytest.mark.parametrize(
    ("options", "parameters", "plain"),
    [
        ({}, 5_291_853, 5_230_413),
        ({"embed_dim": 32}, 20_751_197, 20_628_317),
        (LARGE, 50_880_946, 50_467_250),
    ],
)
def test_published_numbers_of_parameters(options: dict, parameters: int, plain: int):
    for modulator, expected in ((True, parameters), (False, plain)):
        with torch.device("meta"):
            net = Uformer(modulator=modulator, **options)
        assert sum(parameter.numel() for parameter in net.parameters()) == expected


@pytest.mark.data
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    "name", ["uformer_plain", "uformer_modulator", "uformer_build256", "uformer_nonsquare"]
)
def test_parity_with_the_published_networks(name: str, tmp_path):
    options, state, arrays = fixture(name)
    path = published_file(state, options["win_size"], tmp_path / "published.pth")
    shapes = {key: options[key] for key in ("embed_dim", "depths", "win_size", "modulator")}
    rebuilt = rebuild_network(path)
    assert rebuilt.net.block == {"type": "Uformer", "img_channel": 3, "mlp_ratio": 4, **shapes}
    assert "padding zeros (published weights" in rebuilt.summary
    assert "bottleneck not shifted (published weights" in rebuilt.summary
    net = rebuilt.net
    if options["img_size"] > 128:
        net = Uformer(shift_bottleneck=True, **shapes).eval()
        assert "bottleneck shifted (forced" in load_network(net, path)
    with torch.no_grad():
        assert distance(net(arrays["in_x"]), arrays["out_y"]) < tolerance(name)
    if "out_padded_input" in arrays:
        assert torch.equal(net.size_rule.pad(arrays["in_x"]), arrays["out_padded_input"])


class TestFactsOfWeights:
    """How images are padded, and whether the bottleneck shifts its windows."""

    def test_new_networks_repeat_the_edge_of_each_side_and_shift(self, tmp_path):
        net = Uformer(**SMALL)
        assert net.size_rule.pad(torch.rand(1, 3, 33, 20)).shape == (1, 3, 64, 32)
        save_network(tmp_path / "own.pth", net, None, {"type": "Uformer", **SMALL})
        again = rebuild_network(tmp_path / "own.pth")
        assert "padding edge (from the checkpoint)" in again.summary
        assert "bottleneck shifted (from the checkpoint)" in again.summary

    def test_published_ones_are_run_as_they_were_judged_and_keep_that_when_tuned(self, published, tmp_path):
        net = Uformer(**SMALL)
        load_network(net, published)
        rule = net.size_rule
        assert (rule.padding, rule.square, rule.centered) == ("zeros", True, True)
        assert [block.shift for block in net.conv.blocks] == [0, 0]
        save_network(tmp_path / "tuned.pth", net, None, {"type": "Uformer", **SMALL})
        again = rebuild_network(tmp_path / "tuned.pth").net
        assert again.size_rule == rule
        assert [block.shift for block in again.conv.blocks] == [0, 0]

    def test_options_force_either(self, published):
        net = Uformer(**SMALL, padding="edge", shift_bottleneck=True)
        output = load_network(net, published)
        assert "padding edge (forced" in output and "bottleneck shifted (forced" in output
        assert not net.size_rule.square
        assert [block.shift for block in net.conv.blocks] == [0, 1]

    def test_plain_loading_recognizes_published_state_dicts_as_well(self):
        state = Uformer(**SMALL).state_dict()
        for metadata in state._metadata.values():
            metadata["version"] = 1
        net = Uformer(**SMALL)
        net.load_state_dict(state)
        assert net.size_rule.square and not net.shifts_bottleneck


def test_options_are_read_from_the_weights():
    options = {"embed_dim": 4, "depths": [1, 2, 1, 3, 1, 1, 2, 1, 1], "win_size": 4, "mlp_ratio": 2}
    for modulator in (True, False):
        state = Uformer(extra_channel=2, modulator=modulator, **options).state_dict()
        assert Uformer.recognize(state) is None
        assert Uformer.recognize(state, 2) == {"img_channel": 3, **options, "modulator": modulator}


def test_wrong_numbers_of_stages_are_told():
    with pytest.raises(ValueError, match="needs a number for each of the 9 stages"):
        Uformer(depths=[2, 2])


def test_regions_stand_in_front_of_it(tmp_path):
    net = build_network({"type": "WithMAP", "net": {"type": "Uformer", **SMALL}, "seg_channel": 2}).eval()
    save_network(tmp_path / "own.pth", net, None)
    other = rebuild_network(tmp_path / "own.pth").net
    image, labels = torch.rand(1, 3, 13, 38), torch.randint(0, 4, (1, 13, 38))
    with torch.no_grad():
        assert torch.equal(net(image, labels), other(image, labels))


def test_windows_are_parts_of_the_image():
    x = torch.rand(2, 6, 9, 4)
    windows = to_windows(x, 3)
    assert windows.shape == (2, 6, 9, 4)
    assert torch.equal(windows[:, 4], x[:, 3:6, 3:6].reshape(2, 9, 4))
    assert torch.equal(from_windows(windows, 3, x.shape), x)


@pytest.mark.parametrize("size", [(16, 24), (8, 16), (8, 8)])
def test_in_shifted_windows_neighbors_see_each_other_and_opposite_borders_do_not(size: tuple[int, int]):
    """Of two pixels in a window, those of one border are less than a window apart in the image."""
    win_size, shift = 8, 4
    rows, columns = torch.meshgrid(*(torch.arange(length) for length in size), indexing="ij")
    places = torch.stack([rows, columns], -1)[None].roll((-shift, -shift), (1, 2))
    windows = to_windows(places, win_size)[0]
    apart = (windows[:, :, None] - windows[:, None]).abs().amax(-1)
    halves = (windows[:, :, None] >= shift) != (windows[:, None] >= shift)
    # a window that wraps around a single one: its halves are of opposite borders, however near
    single = torch.tensor(size) == win_size
    divided = (apart >= win_size) | (halves & single).any(-1)
    mask = shift_mask(places.float(), win_size)
    assert mask.shape == (len(windows), 1, 64, 64)
    assert torch.equal(mask[:, 0], -100.0 * divided)


def test_attention_by_its_formula():
    """softmax(q k / sqrt(d) + bias + mask) v for each head, then a linear layer."""
    torch.manual_seed(0)
    channels, heads, side = 6, 2, 3
    attention = WindowAttention(channels, heads, side).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    windows = torch.randn(2, 4, side**2, channels, dtype=torch.float64)
    mask = torch.randn(4, 1, side**2, side**2, dtype=torch.float64)
    query = attention.qkv["to_q"](windows)
    key, value = attention.qkv["to_kv"](windows).chunk(2, dim=-1)
    table = attention.relative_position_bias_table.reshape(2 * side - 1, 2 * side - 1, heads)
    bias = torch.empty(heads, side**2, side**2, dtype=torch.float64)
    for i in range(side**2):
        for j in range(side**2):
            bias[:, i, j] = table[i // side - j // side + side - 1, i % side - j % side + side - 1]
    for given in (None, mask):
        parts = []
        for head in range(heads):
            own = slice(head * 3, head * 3 + 3)
            logits = query[..., own] @ key[..., own].transpose(-1, -2) / 3**0.5 + bias[head]
            logits = logits if given is None else logits + given[:, 0]
            parts.append(logits.softmax(-1) @ value[..., own])
        torch.testing.assert_close(attention(windows, given), attention.proj(torch.cat(parts, -1)))


def test_what_lies_beyond_a_window_is_not_seen_without_a_shift_and_with_it_half_a_window_more():
    """But for LeFF, which sees one pixel beyond; it is switched off here."""
    torch.manual_seed(0)
    stage = Stage(4, 1, 4, 2, False, [0.0, 0.0]).eval()
    for block in stage.blocks:
        torch.nn.init.zeros_(block.mlp.linear2[0].weight)
        for parameter in block.attn.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    stage = stage.double()
    x = torch.rand(1, 4, 16, 16, dtype=torch.float64)
    changed = x.clone()
    changed[:, 0, 0, 0] += 1  # not all channels alike, which the norm takes away
    for shifted, reach in ((False, 4), (True, 6)):
        stage.shift_windows(shifted)
        with torch.no_grad():
            moved = (stage(changed) - stage(x)).abs().amax((0, 1)) > 1e-12
        assert moved[:reach, :reach].all()
        assert not moved[reach:].any() and not moved[:, reach:].any()


def test_images_of_a_batch_do_not_touch_each_other():
    torch.manual_seed(0)
    net = Uformer(**SMALL).eval()
    batch = torch.rand(3, 3, 20, 40)
    with torch.no_grad():
        alone = torch.cat([net(image) for image in batch.split(1)])
        torch.testing.assert_close(net(batch), alone, atol=1e-5, rtol=1e-5)


def test_features_are_maps_that_may_be_replaced():
    torch.manual_seed(0)
    net = Uformer(**SMALL).eval()
    image = torch.rand(2, 3, 32, 64)
    channels = [4, 8, 16, 32, 64, 64, 32, 16, 8]
    reductions = [1, 2, 4, 8, 16, 8, 4, 2, 1]
    assert [point.channels for point in net.feature_points] == channels
    assert [point.reduction for point in net.feature_points] == reductions
    with torch.no_grad():
        plain = net(image)
        for point in net.feature_points:
            seen = []

            def replace(module, inputs, result, seen=seen):
                seen.append(result.shape)
                return result + torch.rand(result.shape)

            hook = net.get_submodule(point.name).register_forward_hook(replace)
            assert not torch.equal(net(image), plain), point.name
            hook.remove()
            assert seen == [(2, point.channels, 32 // point.reduction, 64 // point.reduction)]


def test_stochastic_depth_rises_to_the_bottleneck_and_falls_behind_it():
    net = Uformer(embed_dim=4, depths=[1, 1, 2, 1, 2, 1, 2, 1, 1], drop_path=0.4)
    rates = [block.drop_path.rate for block in net.modules() if isinstance(block, LeWinBlock)]
    down = [0.1 * step for step in range(5)]
    expected = sorted([*down, 0.4, 0.4, *down])
    assert sorted(rates) == pytest.approx(expected)
    assert net.encoderlayer_0.blocks[0].drop_path.rate == net.decoderlayer_3.blocks[0].drop_path.rate == 0
    assert net.conv.blocks[0].drop_path.rate == 0.4


def test_half_precision_trains():
    torch.manual_seed(0)
    net = Uformer(**SMALL).train()
    with torch.autocast("cpu", torch.bfloat16):
        net(torch.rand(1, 3, 32, 32)).float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_it_gives_the_numbers_of_another_implementation():
    """That of the package spandrel, which is built as for crops of 256 pixels."""
    spandrel = pytest.importorskip("spandrel")
    torch.manual_seed(0)
    net = Uformer(embed_dim=4, depths=[2, 1, 1, 1, 2, 1, 1, 1, 2], padding="zeros", shift_bottleneck=True)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    state = dict(net.state_dict())
    index = net.conv.blocks[0].attn.relative_position_index
    state |= {name.replace("bias_table", "index"): index for name in state if name.endswith("bias_table")}
    other = spandrel.ModelLoader().load_from_state_dict(state).model.eval()
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        expected = other(image)
        assert (net.eval()(image) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.slow
def test_compile_gives_the_same_numbers():
    torch.manual_seed(0)
    net = Uformer(**SMALL).eval()
    image = torch.rand(1, 3, 40, 24)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(image), net(image), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["edge", "zeros"])
def test_onnx_gives_the_same_numbers_at_every_size(padding: str, tmp_path):
    """The export compares both, at sizes that it did not trace."""
    pytest.importorskip("onnxruntime", reason="ONNX needs the extra `export`")
    pytest.importorskip("onnxscript", reason="ONNX needs the extra `export`")
    from basicsr.restoration.onnx_export import export_onnx

    torch.manual_seed(0)
    options = {**SMALL, "depths": [2, *[1] * 8]}
    save_network(tmp_path / "own.pth", Uformer(**options), None, {"type": "Uformer", **options})
    output = export_onnx(tmp_path / "own.pth", tmp_path / "net.onnx", padding=padding)
    assert f"padding {padding}" in output and (tmp_path / "net.onnx").exists()
