"""EfficientDerain against the published numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from basicsr.archs.base import build_network
from basicsr.archs.efficient_derain import DILATIONS, EfficientDerain
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network
from basicsr.layers.pixel_kernels import filter_with_pixel_kernels
from tests.sister_parity import distance, fixture, tolerance


@pytest.mark.parametrize(("kernel_size", "parameters"), [(3, 27_395_406), (5, 27_654_510)])
def test_published_numbers_of_parameters(kernel_size: int, parameters: int):
    with torch.device("meta"):
        net = EfficientDerain(kernel_size=kernel_size)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


@pytest.mark.data
@pytest.mark.usefixtures("shared")
def test_parity_with_the_published_network(tmp_path):
    _, state, arrays = fixture("efficientderain")
    torch.save(state, tmp_path / "published.pth")
    rebuilt = rebuild_network(tmp_path / "published.pth")
    net, image = rebuilt.net, arrays["in_x"]
    assert (rebuilt.type, rebuilt.options) == (
        "EfficientDerain",
        {"img_channel": 3, "width": 64, "kernel_size": 3},
    )
    with torch.no_grad():
        kernels = net.kernels(image)
        results = {"y": net(image), "core": kernels.flatten(1, 2)}
        filtered = filter_with_pixel_kernels(image, kernels, DILATIONS)
    results |= {f"pred{dilation}": each for dilation, each in zip(DILATIONS, filtered, strict=True)}
    assert set(results) == {name.removeprefix("out_") for name in arrays} - {"in_x"}
    for name, result in results.items():
        assert distance(result, arrays[f"out_{name}"]) < tolerance("efficientderain"), name


@pytest.mark.parametrize("options", [{"kernel_size": 5}, {"img_channel": 1}, {"width": 6}])
def test_weights_tell_the_options(options: dict):
    net = EfficientDerain(**{"width": 4} | options)
    found = EfficientDerain.recognize(net.state_dict())
    assert found == {"img_channel": 3, "width": 4, "kernel_size": 3} | options


def test_channels_that_stand_behind_the_image_are_counted():
    state = EfficientDerain(width=4, extra_channel=2).state_dict()
    assert EfficientDerain.recognize(state) is None
    assert EfficientDerain.recognize(state, 2) == {"img_channel": 3, "width": 4, "kernel_size": 3}


def test_regions_stand_in_front_of_it(tmp_path):
    """They help to predict kernels; only the image is filtered."""
    block = {"type": "WithMAP", "net": {"type": "EfficientDerain", "width": 4}, "seg_channel": 2}
    net = build_network(block).eval()
    torch.save(net.state_dict(), tmp_path / "published.pth")
    other = rebuild_network(tmp_path / "published.pth").net
    image, labels = torch.rand(1, 3, 13, 18), torch.randint(0, 4, (1, 13, 18))
    with torch.no_grad():
        assert torch.equal(net(image, labels), other(image, labels))


def test_weights_of_a_wrapped_generator_are_found(tmp_path):
    net = EfficientDerain(width=4)
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"epoch": 3, "generator": state}, tmp_path / "published.pth")
    other = rebuild_network(tmp_path / "published.pth").net
    load_network(net, tmp_path / "published.pth")
    image = torch.rand(1, 3, 20, 35)
    with torch.no_grad():
        assert torch.equal(other(image), net.eval()(image))


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size 4 is even; take 5"):
        EfficientDerain(kernel_size=4)


def test_weights_start_as_published():
    """Xavier's normal distribution with a gain of 0.02; 3 standard errors of a standard deviation."""
    torch.manual_seed(0)
    weight = EfficientDerain(width=8).conv5.conv1[0].weight
    expected = 0.02 * (2 / (9 * (weight.shape[0] + weight.shape[1]))) ** 0.5
    assert abs(weight.std().item() / expected - 1) < 3 / (2 * weight.numel()) ** 0.5


def test_feature_points_give_what_they_say():
    net = EfficientDerain(width=4)
    shapes = {}
    for point in net.feature_points:
        module = net.get_submodule(point.name)
        module.register_forward_hook(
            lambda _, __, output, name=point.name: shapes.update({name: output.shape})
        )
    net(torch.rand(1, 3, 32, 48))
    assert len(net.feature_points) == 7
    for point in net.feature_points:
        assert shapes[point.name] == (1, point.channels, 32 // point.reduction, 48 // point.reduction)


@pytest.mark.slow
def test_onnx_gives_the_same_numbers():
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = EfficientDerain(width=4).eval()
    for parameter in net.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    image = torch.rand(1, 3, 33, 20)
    file = io.BytesIO()
    torch.onnx.export(net, (image,), dynamo=True, verbose=False).save(file)
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        assert np.abs(result - net(image).numpy()).max() < 1e-4
