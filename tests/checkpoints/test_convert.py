"""A converted weight file is the same network, and says so itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from basicsr.checkpoints.convert import convert_checkpoint
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import read_weights, save_network
from basicsr.layers.normalization import Normalization
from basicsr.layers.weights_facts import WeightsFacts
from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS

LEVELS = {"width": 4, "enc_blk_nums": [1, 2], "dec_blk_nums": [1, 1], "middle_blk_num": 1}


def saved(path: Path, **options: object) -> nn.Module:
    torch.manual_seed(0)
    description = {"type": "SegNAFNet", **LEVELS, **options}
    net = ARCHS.build("SegNAFNet", LEVELS | options).eval()
    save_network(path, net, None, description)
    return net


def output(net: nn.Module) -> torch.Tensor:
    x = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return net(x, torch.arange(480).reshape(1, 20, 24) // 100)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("precision", "error"), [("float32", 0), ("float16", 2e-3), ("bfloat16", 2e-2)])
def test_the_network_stays(tmp_path, suffix: str, precision: str, error: float):
    net = saved(tmp_path / "net.pth", mask_value=0.5)
    place = tmp_path / f"converted{suffix}"
    said = convert_checkpoint(tmp_path / "net.pth", place, precision)
    assert precision in said
    stored = read_weights(place)
    assert {tensor.dtype for tensor in stored.state.values()} == {getattr(torch, precision)}
    rebuilt = rebuild_network(place)
    assert rebuilt.type == "SegNAFNet" and rebuilt.options["enc_blk_nums"] == [1, 2]
    assert next(rebuilt.net.parameters()).dtype == torch.float32
    assert (output(rebuilt.net) - output(net)).abs().max() <= error


def test_averaged_weights_are_taken(tmp_path):
    saved(tmp_path / "a.pth")
    torch.manual_seed(5)
    net, averaged = (ARCHS.build("SegNAFNet", LEVELS).eval() for _ in range(2))
    save_network(tmp_path / "net.pth", net, averaged, {"type": "SegNAFNet", **LEVELS})
    convert_checkpoint(tmp_path / "net.pth", tmp_path / "small.safetensors")
    assert torch.equal(output(rebuild_network(tmp_path / "small.safetensors").net), output(averaged))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_facts_stay_and_padding_may_be_chosen(tmp_path, suffix: str):
    net = ARCHS.build("SegNAFNet", LEVELS)
    net.normalization = Normalization((0.5, 0.4, 0.3), (0.5, 0.5, 0.5))
    save_network(tmp_path / "net.pth", net, None, {"type": "SegNAFNet", **LEVELS})
    convert_checkpoint(tmp_path / "net.pth", tmp_path / f"same{suffix}")
    same = read_weights(tmp_path / f"same{suffix}").facts
    assert same == WeightsFacts(padding="edge", mask_value=1.0, normalization=net.normalization)
    convert_checkpoint(tmp_path / "net.pth", tmp_path / f"zeros{suffix}", padding="zeros")
    zeros = rebuild_network(tmp_path / f"zeros{suffix}").net
    assert zeros.size_rule.padding == "zeros" and zeros.normalization == net.normalization


def test_published_weights_get_a_description(tmp_path):
    """A bare state dict: afterwards the file says what it is, and how it was trained."""
    net = ARCHS.build("SegNAFNet", LEVELS)
    torch.save({"params": net.state_dict()}, tmp_path / "published.pth")
    assert not read_weights(tmp_path / "published.pth").network
    convert_checkpoint(tmp_path / "published.pth", tmp_path / "described.safetensors")
    described = read_weights(tmp_path / "described.safetensors")
    assert described.network["type"] == "SegNAFNet"
    assert described.facts == WeightsFacts(padding="zeros", mask_value=1 / 255)


def test_mistakes_are_one_line(tmp_path):
    saved(tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"\.pth and \.safetensors"):
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "net.bin")
    with pytest.raises(UserError, match="exists already"):
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "net.pth")
    huge = ARCHS.build("SegNAFNet", LEVELS)
    with torch.no_grad():
        huge.ending.bias.fill_(1e6)
    save_network(tmp_path / "huge.pth", huge, None, {"type": "SegNAFNet", **LEVELS})
    with pytest.raises(UserError, match="not finite in float16"):
        convert_checkpoint(tmp_path / "huge.pth", tmp_path / "half.safetensors", "float16")
    assert not (tmp_path / "half.safetensors").exists()
