"""Networks from their weight files alone: round trips, published files, and one clear line for the others."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from basicsr.archs.base import RestorationNetwork
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import save_network
from basicsr.layers.local_pool import LocalAvgPool2d
from basicsr.layers.map_unit import PUBLISHED_MASK_VALUE
from basicsr.masks.label_map import read_label_map
from basicsr.utils.errors import UserError
from basicsr.utils.image import decode_single, read_rgb, to_chw, to_tensor
from basicsr.utils.registry import ARCHS

SMALL = {"width": 4, "enc_blk_nums": [1, 2], "middle_blk_num": 1, "dec_blk_nums": [1, 0]}
LEVELS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=3)
FILES = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def shapes(draw) -> dict:
    levels = draw(LEVELS)
    return {
        "width": draw(st.sampled_from([2, 4, 6])),
        "middle_blk_num": draw(st.integers(0, 2)),
        "enc_blk_nums": [down for down, _ in levels],
        "dec_blk_nums": [up for _, up in levels],
    }


def extras(name: str) -> st.SearchStrategy[dict]:
    """Options beyond the shape of the U-Net, for each network."""
    local = {"train_size": st.just([1, 3, 16, 16])} if name.endswith("Local") else {}
    match name.removesuffix("Local"):
        case "NAFNet":
            return st.fixed_dictionaries(local | {"mask": st.booleans()})
        case "Baseline":
            return st.fixed_dictionaries(
                local | {"dw_expand": st.integers(1, 2), "ffn_expand": st.integers(1, 3)}
            )
        case _:
            return st.fixed_dictionaries(local | {"seg_channel": st.integers(1, 3)})


def build(name: str, options: dict) -> torch.nn.Module:
    net = ARCHS.build(name, options).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net


def output(net: torch.nn.Module, height: int = 29, width: int = 35) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    inputs = [
        torch.rand(x.shape, generator=generator)
        if x.is_floating_point()
        else torch.randint(0, 5, x.shape, generator=generator, dtype=x.dtype)
        for x in net.example_inputs(height, width)
    ]
    with torch.no_grad():
        return net(*inputs)


def pools_locally(net: torch.nn.Module) -> bool:
    return any(isinstance(module, LocalAvgPool2d) for module in net.modules())


def message_of(path, local: bool | None = None) -> str:
    with pytest.raises(UserError) as error:
        rebuild_network(path, local)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    [f"{kind}{pooling}" for kind in ("Baseline", "NAFNet", "SegNAFNet") for pooling in ("", "Local")]
    + ["WithMAP"],
)
@FILES
@given(data=st.data())
def test_own_checkpoints_are_rebuilt_as_they_were(tmp_path, name: str, data):
    options = data.draw(shapes())
    if name == "WithMAP":
        inner = data.draw(st.sampled_from(["NAFNet", "Baseline", "NAFNetLocal"]))
        options = {"net": {"type": inner, **options, **data.draw(extras(inner))}, "seg_channel": 3}
    else:
        options |= data.draw(extras(name))
    net = build(name, options)
    save_network(tmp_path / "net.pth", net, None, {"type": name, **options})
    rebuilt = rebuild_network(tmp_path / "net.pth")
    assert (rebuilt.type, rebuilt.options) == (name, options)
    assert not rebuilt.net.training
    assert torch.equal(output(rebuilt.net), output(net))


@pytest.mark.parametrize("name", ["NAFNet", "Baseline", "SegNAFNet", "WithMAP"])
@FILES
@given(
    data=st.data(), wrapper=st.sampled_from(["params", "params_ema", "state_dict", ""]), prefix=st.booleans()
)
def test_files_without_a_description_are_recognized(tmp_path, name: str, data, wrapper: str, prefix: bool):
    options = data.draw(shapes()) | {"padding": "zeros"}
    if name == "Baseline" and not any([*options["enc_blk_nums"], *options["dec_blk_nums"]]):
        options["middle_blk_num"] = 1  # without a block it is a NAFNet
    if name == "WithMAP":
        options = {"net": {"type": "NAFNet", **options, "mask": data.draw(st.booleans())}, "seg_channel": 3}
    else:
        options |= data.draw(extras(name))
    if name == "SegNAFNet":
        options["mask_value"] = PUBLISHED_MASK_VALUE
    net = build(name, options)
    state = {("module." if prefix else "") + key: value for key, value in net.state_dict().items()}
    torch.save({wrapper: state} if wrapper else state, tmp_path / "net.pth")
    rebuilt = rebuild_network(tmp_path / "net.pth")
    assert rebuilt.type == name
    assert "recognized" in rebuilt.summary
    assert torch.equal(output(rebuilt.net), output(net))


def test_safetensors_are_recognized(tmp_path):
    net = build("NAFNet", SMALL | {"padding": "zeros"})
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert torch.equal(output(rebuild_network(tmp_path / "net.safetensors").net), output(net))


def test_the_average_is_taken_where_there_is_one(tmp_path):
    net, averaged = build("NAFNet", SMALL), build("NAFNet", SMALL)
    save_network(tmp_path / "net.pth", net, averaged, {"type": "NAFNet", **SMALL})
    assert torch.equal(output(rebuild_network(tmp_path / "net.pth").net), output(averaged))


def test_facts_are_adopted_without_a_description_too(tmp_path):
    net = build("SegNAFNet", SMALL | {"mask_value": 0.25})
    save_network(tmp_path / "net.pth", net, None)
    rebuilt = rebuild_network(tmp_path / "net.pth")
    assert rebuilt.net.pool.mask_value == 0.25
    assert "from the checkpoint" in rebuilt.summary


@pytest.mark.parametrize(
    ("block", "local", "kind", "pooled"),
    [
        ({"type": "NAFNet"}, None, "NAFNet", False),
        ({"type": "NAFNet"}, True, "NAFNetLocal", True),
        ({"type": "NAFNetLocal"}, None, "NAFNetLocal", True),
        ({"type": "NAFNetLocal"}, False, "NAFNet", False),
        ({"type": "NAFNet", "train_size": [1, 3, 16, 16]}, None, "NAFNet", True),
        ({"type": "NAFNet", "train_size": [1, 3, 16, 16]}, False, "NAFNet", False),
        ({"type": "SegNAFNet"}, True, "SegNAFNetLocal", True),
    ],
)
def test_local_pooling_is_a_switch(tmp_path, block: dict, local: bool | None, kind: str, pooled: bool):
    net = build(block["type"], SMALL | {key: value for key, value in block.items() if key != "type"})
    save_network(tmp_path / "net.pth", net, None, block | SMALL)
    rebuilt = rebuild_network(tmp_path / "net.pth", local)
    assert (rebuilt.type, pools_locally(rebuilt.net)) == (kind, pooled)
    assert ("with local pooling" if pooled else "with global pooling") in rebuilt.summary


def test_the_training_size_of_the_file_sets_the_windows(tmp_path):
    options = SMALL | {"train_size": [1, 3, 16, 32]}
    save_network(tmp_path / "net.pth", build("NAFNet", options), None, {"type": "NAFNet", **options})
    net = rebuild_network(tmp_path / "net.pth", local=True).net
    assert max(m.window for m in net.modules() if isinstance(m, LocalAvgPool2d)) == (24, 48)


def test_the_switch_reaches_the_network_inside_a_wrapper(tmp_path):
    block = {"net": {"type": "Baseline", **SMALL}}
    save_network(tmp_path / "net.pth", build("WithMAP", block), None, {"type": "WithMAP", **block})
    assert not pools_locally(rebuild_network(tmp_path / "net.pth").net)
    assert pools_locally(rebuild_network(tmp_path / "net.pth", local=True).net)


class Fixed(RestorationNetwork):
    """A user's network without facts or options."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 3, 1)


class TestBadFiles:
    def test_weights_of_other_networks(self, tmp_path):
        torch.save({"params": torch.nn.Conv2d(3, 8, 3).state_dict()}, tmp_path / "other.pth")
        message = message_of(tmp_path / "other.pth")
        assert "SegNAFNet" in message and "weight (8, 3, 3, 3), bias (8,)" in message
        torch.save({"params": {}}, tmp_path / "empty.pth")
        assert "It has: nothing" in message_of(tmp_path / "empty.pth")

    def test_input_channels_that_nothing_explains(self, tmp_path):
        net = build("NAFNet", SMALL | {"extra_channel": 2})
        torch.save(net.state_dict(), tmp_path / "net.pth")
        assert "intro.weight (4, 5, 3, 3)" in message_of(tmp_path / "net.pth")

    def test_a_network_that_pads_in_one_way_only(self, tmp_path, monkeypatch):
        monkeypatch.setitem(ARCHS._entries, "Fixed", Fixed)
        save_network(tmp_path / "net.pth", Fixed(), None, {"type": "Fixed"})
        assert rebuild_network(tmp_path / "net.pth").type == "Fixed"
        with pytest.raises(UserError, match="Fixed pads in one way only; leave --padding out"):
            rebuild_network(tmp_path / "net.pth", padding="zeros")

    def test_damaged_weights_of_a_known_network(self, tmp_path):
        state = build("NAFNet", SMALL).state_dict()
        del state["encoders.1.1.conv3.bias"]
        torch.save({"params": state}, tmp_path / "net.pth")
        message = message_of(tmp_path / "net.pth")
        assert "not those of NAFNet: 1 missing: encoders.1.1.conv3.bias" in message

    def test_a_description_of_other_weights(self, tmp_path):
        save_network(
            tmp_path / "net.pth", build("NAFNet", SMALL), None, {"type": "NAFNet", **SMALL, "width": 8}
        )
        message = message_of(tmp_path / "net.pth")
        assert "not those of NAFNet" in message and "of another shape" in message and "damaged" in message

    @pytest.mark.parametrize(("holds", "says"), [("NAFNet", "SegNAFNet"), ("SegNAFNet", "NAFNet")])
    def test_a_description_of_the_other_network(self, tmp_path, holds: str, says: str):
        save_network(tmp_path / "net.pth", build(holds, SMALL), None, {"type": says, **SMALL})
        assert f"not those of {says}: " in message_of(tmp_path / "net.pth")

    @pytest.mark.parametrize(
        ("block", "what"),
        [
            ({"type": "SegNafNet"}, "Did you mean 'SegNAFNet'?"),
            ({"width": 4}, "type: unknown network None"),
            ({"type": "NAFNet", "widht": 4, "mask": 3}, "widht: NAFNet has no such option"),
            ({"type": "NAFNet", "enc_blk_nums": [1]}, "need one number per level"),
            ({"type": "WithMAP", "net": {"type": "NAFNet", "widht": 4}}, "net.widht"),
            ({"type": "WithMAP", "net": 5}, "net: "),
        ],
    )
    @pytest.mark.parametrize("local", [None, True, False])
    def test_descriptions_that_cannot_be_built(self, tmp_path, block: dict, what: str, local: bool | None):
        save_network(tmp_path / "net.pth", build("NAFNet", SMALL), None, block)
        assert what in message_of(tmp_path / "net.pth", local)

    @pytest.mark.parametrize("entry", [3, {}, {"network": {}}, {"network": 1, "facts": {}}])
    def test_an_own_entry_of_another_form(self, tmp_path, entry):
        torch.save({"params": build("NAFNet", SMALL).state_dict(), "basicsr": entry}, tmp_path / "net.pth")
        assert "entry 'basicsr'" in message_of(tmp_path / "net.pth")


@pytest.mark.data
@pytest.mark.parametrize(
    ("key", "file", "kind", "options"),
    [
        ("NAFNet", "NAFNet.pth", "NAFNet", {"mask": False}),
        ("MaskNAFNet", "MaskNAFNet.pth", "NAFNet", {"mask": True}),
        ("SegNAFNet_mask_value_1_over_255", "SegNAFNet.pth", "SegNAFNet", {"seg_channel": 2}),
    ],
)
def test_published_files_give_published_numbers(shared, key: str, file: str, kind: str, options: dict):
    folder = shared / "parity"
    text = json.loads((folder / "network.json").read_text())
    rebuilt = rebuild_network(folder / file)
    assert rebuilt.type == kind
    names = ("width", "enc_blk_nums", "middle_blk_num", "dec_blk_nums")
    assert rebuilt.options == {"img_channel": 3, **{name: text[name] for name in names}, **options}
    image = to_tensor(to_chw(read_rgb(folder / "input.png")))[None]
    mask = to_tensor(decode_single((folder / "mask_channel.png").read_bytes(), "mask"))[None, None]
    fields = {"lq": image, "mask": mask}
    inputs = [torch.cat([fields[name] for name in rebuilt.net.image_inputs], 1)]
    if rebuilt.net.takes_labels:
        inputs.append(torch.from_numpy(read_label_map(folder / "masks.npz"))[None])
    with torch.no_grad():
        result = rebuilt.net(*inputs).numpy()
    assert np.abs(result - np.load(folder / "expected.npz")[key]).max() < 1e-4
