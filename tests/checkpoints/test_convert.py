"""A converted weight file is the same network, and says so itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
    text = convert_checkpoint(tmp_path / "net.pth", place, precision)
    assert precision in text
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


def test_first_stages_are_a_network_of_their_own(tmp_path, run_script):
    options = {"width": 4, "num_blocks": 1, "num_bottlenecks": 1, "block_size": 2, "low_block_size": 2}
    net = ARCHS.build("MAXIM", {"num_stages": 2, **options}).eval()
    save_network(tmp_path / "net.pth", net, None, {"type": "MAXIM", "num_stages": 2, **options})
    done = run_script(
        "convert_checkpoint.py", tmp_path / "net.pth", tmp_path / "first.safetensors", "--stages", "1"
    )
    assert done.returncode == 0, done.stderr
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        restored = rebuild_network(tmp_path / "first.safetensors").net(x)
        assert torch.equal(restored, net.stages(x)["stage_scales"][0][0])


def test_published_weights_get_a_description(tmp_path):
    """A bare state dict: afterwards the file says what it is, and how it was trained."""
    net = ARCHS.build("SegNAFNet", LEVELS)
    torch.save({"params": net.state_dict()}, tmp_path / "published.pth")
    assert not read_weights(tmp_path / "published.pth").network
    convert_checkpoint(tmp_path / "published.pth", tmp_path / "described.safetensors")
    described = read_weights(tmp_path / "described.safetensors")
    assert described.network["type"] == "SegNAFNet"
    assert described.facts == WeightsFacts(padding="zeros", mask_value=1 / 255)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_variables_of_tensorflow_get_a_description(tmp_path, suffix: str, run_script):
    """Names and shapes of the published SRN; the file then says that it resizes as TensorFlow does."""
    net = ARCHS.build("SRN", {"model": "lstm", "width": 2, "tf_compat": True})
    levels = [f"enc{level}_{block}/conv{k}" for level in (1, 2, 3) for block in (2, 3, 4) for k in (1, 2)]
    levels += [f"dec{level}_{block}/conv{k}" for level in (3, 2, 1) for block in (3, 2, 1) for k in (1, 2)]
    names = [*levels, "enc1_1", "enc2_1", "enc3_1", "convLSTM/LSTM_conv", "dec2_4", "dec1_4", "dec1_0"]
    widths = {"1": 2, "2": 4, "3": 8}
    shapes = {name: (5, 5, widths[name[3]], widths[name[3]]) for name in levels} | {
        "enc1_1": (5, 5, 2, 2), "enc2_1": (5, 5, 2, 4), "enc3_1": (5, 5, 4, 8), "dec1_0": (5, 5, 2, 1),
        "convLSTM/LSTM_conv": (3, 3, 16, 32), "dec2_4": (4, 4, 4, 8), "dec1_4": (4, 4, 2, 4),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    arrays = {f"g_net/{name}/weights": rng.normal(size=shapes[name]).astype(np.float32) for name in names}
    for name in names:
        outputs = shapes[name][2 if name in ("dec2_4", "dec1_4") else 3]
        arrays[f"g_net/{name}/biases"] = rng.normal(size=outputs).astype(np.float32)
        arrays[f"g_net/{name}/weights/Adam"] = arrays[f"g_net/{name}/weights"] * 2
    np.savez(tmp_path / "variables.npz", global_step=np.int64(523_000), **arrays)
    done = run_script("convert_checkpoint.py", tmp_path / "variables.npz", tmp_path / f"srn{suffix}")
    assert done.returncode == 0, done.stderr
    rebuilt = rebuild_network(tmp_path / f"srn{suffix}")
    assert rebuilt.options == {"model": "lstm", "width": 2, "blocks": 3, "tf_compat": True}
    assert rebuilt.net.state_dict().keys() == net.state_dict().keys()
    state = {name: tensor.numpy() for name, tensor in rebuilt.net.state_dict().items()}
    assert np.array_equal(
        state["decoders.0.2.conv2.weight"], arrays["g_net/dec3_1/conv2/weights"].transpose(3, 2, 0, 1)
    )
    assert np.array_equal(state["ups.1.weight"], arrays["g_net/dec1_4/weights"].transpose(3, 2, 0, 1))
    assert np.array_equal(state["lstm.conv.bias"], arrays["g_net/convLSTM/LSTM_conv/biases"])


def test_mistakes_are_one_line(tmp_path):
    saved(tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"\.pth or \.safetensors"):
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "net.bin")
    with pytest.raises(UserError, match="exists already"):
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"net\.pth: --stages: SegNAFNet has no stages that restore without"):
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "first.pth", stages=1)
    huge = ARCHS.build("SegNAFNet", LEVELS)
    with torch.no_grad():
        huge.ending.bias.fill_(1e6)
    save_network(tmp_path / "huge.pth", huge, None, {"type": "SegNAFNet", **LEVELS})
    with pytest.raises(UserError, match="not finite in float16"):
        convert_checkpoint(tmp_path / "huge.pth", tmp_path / "half.safetensors", "float16")
    assert not (tmp_path / "half.safetensors").exists()
