"""Facts about every registered network, and published numbers of some."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_flatten

from basicsr.archs.base import RestorationNetwork, network_class
from basicsr.checkpoints.weights import load_network, save_network
from basicsr.layers.map_unit import PUBLISHED_MASK_VALUE
from basicsr.masks.label_map import read_label_map
from basicsr.utils.image import decode_single, read_rgb, to_chw, to_tensor
from basicsr.utils.registry import ARCHS
from tests.archs.small_networks import SMALL_OPTIONS, SMALL_UNET

# Networks that are not in the table are tested as they are by default; those that are built of weights have
# a file of their own, and so have those that restore nothing.
OPTIONS = {
    name: SMALL_OPTIONS.get(name, {})
    for name in ARCHS.names()
    if issubclass(network_class(name), RestorationNetwork) and not network_class(name).needs_state
}
WITH_WEIGHTS = [name for name in OPTIONS if not network_class(name).is_fixed]
# Tracing takes as long as there are operations.
TRACED = [
    pytest.param(name, marks=[pytest.mark.slow] if name in ("Jin", "MAXIM") else []) for name in OPTIONS
]
PAPER = {"width": 32, "enc_blk_nums": [1, 1, 1, 28], "middle_blk_num": 1, "dec_blk_nums": [1, 1, 1, 1]}


def build(name: str) -> torch.nn.Module:
    """A network with every parameter away from its special starting values."""
    torch.manual_seed(0)
    net = ARCHS.build(name, OPTIONS[name])
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


def inputs(net: torch.nn.Module, height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(height * width)
    return tuple(
        torch.rand(batch, *x.shape[1:], generator=generator)
        if x.is_floating_point()
        else torch.randint(0, 6, (batch, *x.shape[1:]), generator=generator, dtype=x.dtype)
        for x in net.example_inputs(height, width)
    )


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("size", [(16, 16), (1, 1), (13, 21), (40, 7)])
def test_any_size_in_is_that_size_out_and_random_numbers_are_left_alone(name: str, size: tuple[int, int]):
    net = build(name)
    before = torch.get_rng_state()
    with torch.no_grad():
        result = net(*inputs(net, *size, batch=2))
    assert result[:, 0].shape == (2, 3, *size) if net.gives == "clip" else result.shape == (2, 3, *size)
    assert torch.isfinite(result).all()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_every_parameter_gets_a_gradient(name: str):
    net = build(name).train()
    stages, _ = tree_flatten(net.stages(*inputs(net, 16, 16, batch=2)))
    sum(stage.square().mean() for stage in stages).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_feature_points_are_passed_in_order_with_the_features_that_they_say(name: str):
    net = build(name)
    side = max(16, net.size_rule.multiple_of)
    passed: list[tuple[str, int, int]] = []
    for point in net.feature_points:

        def note(module, inputs, output, point=point):
            passed.append((point.name, output.shape[1], side // output.shape[2]))

        net.get_submodule(point.name).register_forward_hook(note)
    with torch.no_grad():
        net(*inputs(net, side, side))
    assert passed == [(point.name, point.channels, point.reduction) for point in net.feature_points]


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_weights_survive_a_file(name: str, tmp_path):
    net = build(name)
    save_network(tmp_path / "net.pth", net, None, {"type": name})
    other = ARCHS.build(name, OPTIONS[name]).eval()
    load_network(other, tmp_path / "net.pth")
    with torch.no_grad():
        assert torch.equal(net(*inputs(net, 13, 10)), other(*inputs(net, 13, 10)))


@pytest.mark.parametrize("name", ["Baseline", "MSResNet", "NAFNet", "SRN", "SegNAFNet"])
def test_images_of_a_batch_do_not_touch_each_other(name: str):
    net = build(name)
    batch = inputs(net, 12, 12, batch=3)
    with torch.no_grad():
        together = net(*batch)
        alone = torch.cat([net(*(x[i : i + 1] for x in batch)) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", TRACED)
def test_export_gives_the_same_numbers(name: str):
    """In float64, where another order of operations hides no mistake in a deep network."""
    net = build(name).double()
    example = tuple(x.double() if x.is_floating_point() else x for x in inputs(net, 16, 16))
    program = torch.export.export(net, example)
    with torch.no_grad():
        expected = net(*example)
        # What is exported may run in another memory layout, and so round otherwise.
        largest = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(program.module()(*example), expected, atol=1e-5 * largest, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MSResNet", "NAFNet", "SegNAFNet"])
def test_export_leaves_height_and_width_free(name: str):
    net = build(name)
    height, width = torch.export.Dim("height", min=2, max=64), torch.export.Dim("width", min=2, max=64)
    free = [{x.ndim - 2: 4 * height, x.ndim - 1: 4 * width} for x in inputs(net, 16, 24)]
    program = torch.export.export(net, inputs(net, 16, 24), dynamic_shapes=free)
    other = inputs(net, 40, 12)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(*other), net(*other), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MSResNet", "NAFNet", "NAFNetLocal", "SegNAFNet"])
def test_compile_gives_the_same_numbers(name: str):
    net = build(name)
    example = inputs(net, 16, 16)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(*example), net(*example), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MSResNet", "SegNAFNet", "SegNAFNetLocal"])
def test_onnx_gives_the_same_numbers(name: str):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    net = build(name)
    example = inputs(net, 40, 24)
    program = torch.onnx.export(net, example, dynamo=True, verbose=False)
    file = io.BytesIO()
    program.save(file)
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    (result,) = session.run(None, {name: x.numpy() for name, x in zip(names, example, strict=True)})
    with torch.no_grad():
        assert np.abs(result - net(*example).numpy()).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("NAFNet", {}, 17_111_907),
        ("NAFNet", {"mask": True}, 17_112_195),
        ("SegNAFNet", {"seg_channel": 2}, 17_112_545),
    ],
)
def test_published_numbers_of_parameters(name: str, options: dict, parameters: int):
    with torch.device("meta"):
        net = ARCHS.build(name, PAPER | options)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_a_nafnet_that_was_just_made_changes_blocks_not_at_all():
    """beta and gamma start at 0, so every block is the identity."""
    net = ARCHS.build("NAFNet", SMALL_UNET)
    x = torch.rand(1, 4, 8, 8)
    assert torch.equal(net.encoders[0](x), x)


def test_labels_matter_to_networks_that_take_them():
    net = build("SegNAFNet")
    x, labels = inputs(net, 16, 16)
    with torch.no_grad():
        assert (net(x, labels) - net(x, torch.zeros_like(labels))).abs().max() > 1e-4


def test_the_defaults_of_segnafnet_are_the_published_ones():
    """Where a published option file is silent; the rows of the paper say 2 channels, and MAP no dropout."""
    net = ARCHS.build("SegNAFNet", SMALL_UNET)
    assert net.pre_seg.out_channels == 3 and net.pool.mask_dropout == 0.5


class TestMaskValue:
    """Published SegNAFNet weights were trained on masks of 1/255; those trained here on masks of 1."""

    def test_new_networks_use_masks_at_full_strength(self):
        assert ARCHS.build("SegNAFNet", SMALL_UNET).pool.mask_value == 1

    def test_published_weights_bring_theirs(self, tmp_path):
        torch.save({"params": ARCHS.build("SegNAFNet", SMALL_UNET).state_dict()}, tmp_path / "published.pth")
        net = ARCHS.build("SegNAFNet", SMALL_UNET)
        assert "0.00392157 (published" in load_network(net, tmp_path / "published.pth")
        assert net.pool.mask_value == PUBLISHED_MASK_VALUE

    def test_weights_trained_here_bring_theirs_even_after_tuning_published_ones(self, tmp_path):
        tuned = ARCHS.build("SegNAFNet", SMALL_UNET | {"mask_value": PUBLISHED_MASK_VALUE})
        save_network(tmp_path / "tuned.pth", tuned, None)
        net = ARCHS.build("SegNAFNet", SMALL_UNET)
        assert "from the checkpoint" in load_network(net, tmp_path / "tuned.pth")
        assert net.pool.mask_value == PUBLISHED_MASK_VALUE

    def test_plain_loading_recognizes_published_state_dicts_as_well(self, tmp_path):
        published = ARCHS.build("SegNAFNet", SMALL_UNET).state_dict()
        for metadata in published._metadata.values():
            metadata["version"] = 1
        torch.save({"params": published}, tmp_path / "published.pth")
        net = ARCHS.build("SegNAFNet", SMALL_UNET)
        net.load_state_dict(torch.load(tmp_path / "published.pth", weights_only=True)["params"])
        assert net.pool.mask_value == PUBLISHED_MASK_VALUE
        own = ARCHS.build("SegNAFNet", SMALL_UNET)
        own.load_state_dict({key: value.clone() for key, value in own.state_dict().items()})
        assert own.pool.mask_value == 1

    def test_weights_of_a_network_without_regions_leave_it_alone(self, tmp_path):
        torch.save({"params": ARCHS.build("NAFNet", SMALL_UNET).state_dict()}, tmp_path / "published.pth")
        save_network(tmp_path / "own.pth", ARCHS.build("NAFNet", SMALL_UNET), None)
        for name in ("published.pth", "own.pth"):
            net = ARCHS.build("SegNAFNet", SMALL_UNET)
            load_network(net, tmp_path / name, strict=False)
            assert net.pool.mask_value == 1

    def test_the_option_forces_either(self, tmp_path):
        torch.save({"params": ARCHS.build("SegNAFNet", SMALL_UNET).state_dict()}, tmp_path / "published.pth")
        net = ARCHS.build("SegNAFNet", SMALL_UNET | {"mask_value": 1.0})
        assert "forced" in load_network(net, tmp_path / "published.pth")
        assert net.pool.mask_value == 1


@pytest.mark.data
@pytest.mark.parametrize(
    ("key", "name", "file", "extra"),
    [
        ("NAFNet", "NAFNet", "NAFNet.pth", {}),
        ("NAFNetLocal", "NAFNetLocal", "NAFNet.pth", {"train_size": "local"}),
        ("MaskNAFNet", "NAFNet", "MaskNAFNet.pth", {"mask": True}),
        ("SegNAFNet_mask_value_1_over_255", "SegNAFNet", "SegNAFNet.pth", {"seg_channel": 2}),
        ("SegNAFNet_mask_value_1", "SegNAFNet", "SegNAFNet.pth", {"seg_channel": 2, "mask_value": 1}),
        (
            "SegNAFNetLocal_mask_value_1_over_255",
            "SegNAFNetLocal",
            "SegNAFNet.pth",
            {"seg_channel": 2, "train_size": "local"},
        ),
    ],
)
def test_parity_with_the_published_networks(shared, key: str, name: str, file: str, extra: dict):
    folder = shared / "parity"
    network = json.loads((folder / "network.json").read_text())
    options = {key: network[key] for key in SMALL_UNET} | extra
    if "train_size" in extra:
        options["train_size"] = network["local_train_size"]
    net = ARCHS.build(name, options).eval()
    load_network(net, folder / file)
    image = to_tensor(to_chw(read_rgb(folder / "input.png")))[None]
    mask = to_tensor(decode_single((folder / "mask_channel.png").read_bytes(), "mask"))[None, None]
    labels = torch.from_numpy(read_label_map(folder / "masks.npz"))[None]
    inputs = (torch.cat([image, mask], 1),) if options.get("mask") else (image,)
    if net.takes_labels:
        inputs = (image, labels)
    with torch.no_grad():
        result = net(*inputs).numpy()
    assert np.abs(result - np.load(folder / "expected.npz")[key]).max() < 1e-4


def test_state_dict_keys_are_the_published_ones():
    """Weights that people have are a contract: these names may never change."""
    keys = set(ARCHS.build("SegNAFNet", SMALL_UNET).state_dict())
    block = [f"conv{i}.{kind}" for i in range(1, 6) for kind in ("weight", "bias")]
    block += [f"{name}.{kind}" for name in ("sca.1", "norm1", "norm2") for kind in ("weight", "bias")]
    block += ["beta", "gamma"]
    stages = ["encoders.0.0", "encoders.1.0", "middle_blks.0", "decoders.0.0", "decoders.1.0"]
    expected = {f"{stage}.{name}" for stage in stages for name in block}
    for conv in ("intro", "ending", "downs.0", "downs.1", "pre_seg", "pre_seg_in"):
        expected |= {f"{conv}.weight", f"{conv}.bias"}
    assert keys == expected | {"ups.0.0.weight", "ups.1.0.weight"}
