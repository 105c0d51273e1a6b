"""SRN: published numbers, resizing, what recurs, and weights of TensorFlow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch.nn import functional

from basicsr.archs import SRN
from basicsr.archs.base import recognize
from basicsr.archs.srn import _published_layers
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network
from basicsr.utils.errors import UserError
from tests.sister_parity import distance, fixture, tolerance

TINY = {"width": 4, "blocks": 1}
MODELS = ["color", "gray", "lstm"]
PUBLISHED = {"color": 6_881_251, "gray": 6_876_449, "lstm": 8_056_609}


def build(**options: object) -> SRN:
    torch.manual_seed(0)
    return SRN(**{**TINY, **options}).eval()


def image(height: int = 16, width: int = 16, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def variables(net: SRN) -> dict[str, np.ndarray]:
    """The weights by the names and in the layout of TensorFlow."""
    state = net.state_dict()
    arrays = {}
    for own, published in _published_layers().items():
        if f"{own}.weight" in state:
            arrays[f"g_net/{published}/weights"] = state[f"{own}.weight"].permute(2, 3, 1, 0).numpy()
            arrays[f"g_net/{published}/biases"] = state[f"{own}.bias"].numpy()
    return arrays


@pytest.mark.parametrize("model", MODELS)
def test_published_numbers_of_parameters(model: str):
    with torch.device("meta"):
        net = SRN(model)
    assert sum(parameter.numel() for parameter in net.parameters()) == PUBLISHED[model]


@pytest.mark.usefixtures("shared")
@pytest.mark.data
@pytest.mark.parametrize("name", ["srn_color", "srn_lstm"])
def test_parity(shared, name: str, tmp_path):
    """Our own evaluation of the published description; no TensorFlow graph was run."""
    options, state, arrays = fixture(name)
    np.savez(tmp_path / "srn.npz", **{key: tensor.numpy() for key, tensor in state.items()})
    net = rebuild_network(tmp_path / "srn.npz").net
    assert net.block == {
        "type": "SRN", "model": options["model"], "width": 32, "blocks": 3, "tf_compat": True
    }  # fmt: skip
    with torch.no_grad():
        scales = net.stages(arrays["in_x"].reshape(1, 3, *arrays["in_x"].shape[-2:]))["scales"]
    for stage, key in zip(scales, ("out_full", "out_middle", "out_coarse"), strict=True):
        assert distance(stage.reshape(arrays[key].shape), arrays[key]) <= tolerance(name)


@pytest.mark.parametrize("model", ["gray", "lstm"])
def test_gray_networks_restore_each_channel_by_itself(model: str):
    net = build(model=model)
    x = image(batch=2)
    with torch.no_grad():
        restored = net(x)
        for channel in range(3):
            alone = net(x[:, channel : channel + 1].expand(-1, 3, -1, -1))
            torch.testing.assert_close(restored[:, channel], alone[:, 0])


def test_scales_are_those_of_the_padded_image_finest_first():
    stages = build().stages(image(20, 33))
    assert [tuple(stage.shape[2:]) for stage in stages["scales"]] == [(32, 48), (16, 24), (8, 12)]
    assert torch.equal(stages["restored"], stages["scales"][0][..., :20, :33])


def gradient_widths(module: torch.nn.Module, net: SRN) -> list[int]:
    """Widths of the outputs of a module to which the finest result sends a gradient, narrow to wide."""
    widths = []

    def watch(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        output.register_hook(lambda gradient: widths.append(gradient.shape[-1]))

    module.register_forward_hook(watch)
    net.stages(image())["scales"][0].sum().backward()
    return sorted(widths)


@pytest.mark.parametrize("model", MODELS)
def test_results_take_no_gradient_to_coarser_scales(model: str):
    net = build(model=model)
    assert gradient_widths(net.ending, net) == [16]


@pytest.mark.parametrize(("model", "widths"), [("color", [16]), ("gray", [16]), ("lstm", [4, 8, 16])])
def test_only_the_memory_of_the_lstm_takes_one_there(model: str, widths: list[int]):
    net = build(model=model)
    assert gradient_widths(net.encoders[0], net) == widths


def test_the_coarsest_scale_sees_the_image_twice():
    net = build(scales=1)
    seen = []
    net.encoders[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net(image())
    assert torch.equal(seen[0][:, :3], seen[0][:, 3:]) and torch.equal(seen[0][:, :3], image())


def test_tensorflow_shrinks_by_leaving_out_and_enlarges_from_the_first_pixel():
    """Its sampling places are i * (size before) / (size after), limited to the last pixel."""
    net = build(tf_compat=True)
    x = image(12, 8)
    assert torch.equal(net._shrunk(x, 4), x[..., ::4, ::4])
    places = np.minimum(np.arange(16) / 2, 7)
    row = np.interp(places, np.arange(8), x[0, 0, 3].numpy())
    np.testing.assert_allclose(net._doubled(x)[0, 0, 6].numpy(), row, atol=1e-6)
    column = np.interp(np.minimum(np.arange(24) / 2, 11), np.arange(12), x[0, 1, :, 5].numpy())
    np.testing.assert_allclose(net._doubled(x)[0, 1, :, 10].numpy(), column, atol=1e-6)


def test_tensorflow_pads_strided_convolutions_late():
    """SAME: (ceil(n / 2) - 1) * 2 + 5 - n = 3 rows are missing for even n, one before and two behind."""
    encoder = build(tf_compat=True).encoders[1]
    x = torch.rand(1, 4, 8, 6)
    whole = functional.conv2d(functional.pad(x, (2, 3, 2, 3)), encoder.conv.weight, encoder.conv.bias)
    expected = encoder.blocks(whole[..., 1::2, 1::2].relu())
    torch.testing.assert_close(encoder(x), expected, atol=1e-6, rtol=1e-5)


def test_without_compatibility_pixels_keep_their_places():
    """A ramp stays the ramp that its pixel centers say, but for what the edge bends."""
    net = build()
    x = torch.arange(32.0).expand(1, 1, 32, 32)
    for factor in (2, 4):
        small = net._shrunk(x, factor)[0, 0, 3]
        expected = (torch.arange(32 // factor) + 0.5) * factor - 0.5
        torch.testing.assert_close(small[1:-1], expected[1:-1], atol=1e-4, rtol=0)
    enlarged = net._doubled(x)[0, 0, 5]
    torch.testing.assert_close(enlarged[1:-1], ((torch.arange(64) + 0.5) / 2 - 0.5)[1:-1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("model", MODELS)
def test_variables_of_tensorflow_come_back(model: str, tmp_path):
    """With what a checkpoint holds besides: slots of Adam, its powers, and the step."""
    net = build(model=model, blocks=3, tf_compat=True)
    arrays = variables(net)
    arrays |= {f"{name}/{slot}": 9 * array for name, array in arrays.items() for slot in ("Adam", "Adam_1")}
    arrays |= {"beta1_power": np.float32(0.5), "global_step": np.int64(523_000)}
    np.savez(tmp_path / "srn.npz", **arrays)
    rebuilt = rebuild_network(tmp_path / "srn.npz")
    assert rebuilt.options == {"model": model, "width": 4, "blocks": 3, "tf_compat": True}
    assert all(torch.equal(rebuilt.net.state_dict()[name], value) for name, value in net.state_dict().items())
    with torch.no_grad():
        assert torch.equal(rebuilt.net(image(20, 17)), net(image(20, 17)))


def test_variables_of_tensorflow_need_its_resizing(tmp_path):
    np.savez(tmp_path / "srn.npz", **variables(build(blocks=3)))
    with pytest.raises(UserError, match="^network_g.tf_compat: .*; set it to true"):
        load_network(build(blocks=3), tmp_path / "srn.npz")
    assert "loaded 84 weights" in load_network(build(blocks=3, tf_compat=True), tmp_path / "srn.npz")


def test_a_variable_that_is_missing_or_misshapen_is_named(tmp_path):
    whole = variables(build(blocks=3))
    del whole["g_net/dec2_4/biases"]
    np.savez(tmp_path / "missing.npz", **whole)
    with pytest.raises(UserError, match="1 missing: ups.0.bias"):
        rebuild_network(tmp_path / "missing.npz")
    whole = variables(build(blocks=3)) | {"g_net/enc2_2/conv1/weights": np.zeros((5, 5), np.float32)}
    np.savez(tmp_path / "flat.npz", **whole)
    with pytest.raises(UserError, match=r"encoders.1.blocks.0.conv1.weight \(5, 5\) in the file"):
        rebuild_network(tmp_path / "flat.npz")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("extra", [0, 2])
def test_own_weights_are_recognized(model: str, extra: int):
    net = build(model=model, extra_channel=extra)
    assert recognize(net.state_dict(), extra) == {"type": "SRN", "model": model, **TINY}


@pytest.mark.parametrize("model", MODELS)
def test_further_channels_stand_beside_each_channel(model: str):
    net = build(model=model, extra_channel=2)
    seen = []
    net.encoders[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = torch.rand(2, 5, 16, 16)
    net(x)
    extra = x[:, 3:] if model == "color" else x[:, 3:].repeat_interleave(3, dim=0)
    assert torch.equal(seen[-1][:, -2:], extra)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["color", "lstm"])
@pytest.mark.parametrize("tf_compat", [False, True])
def test_export_compiler_and_onnx_give_the_same_numbers(model: str, tf_compat: bool):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    net, x, other = build(model=model, tf_compat=tf_compat), image(32, 48), image(48, 32)
    sizes = [
        {place: 16 * torch.export.Dim(name, min=2, max=64) for place, name in ((2, "rows"), (3, "columns"))}
    ]
    with torch.no_grad():
        program = torch.export.export(net, (x,), dynamic_shapes=sizes)
        torch.testing.assert_close(program.module()(other), net(other), atol=1e-5, rtol=1e-5)
        compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), net(x), atol=1e-5, rtol=1e-5)
        file = io.BytesIO()
        torch.onnx.export(net, (x,), dynamo=True, verbose=False).save(file)
        session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
        (result,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert np.abs(result - net(x).numpy()).max() < 1e-3


def test_gray_networks_say_that_they_take_three_times_the_memory():
    assert build(model="gray", width=32).bytes_per_pixel == 3 * build(width=32).bytes_per_pixel
