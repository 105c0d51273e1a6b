"""MIMO-UNet and MIMO-UNet+ against the published numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from basicsr.archs.base import build_network
from basicsr.archs.mimo_unet import MIMOUNet, MIMOUNetPlus
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.checkpoints.weights import load_network
from tests.sister_parity import distance, fixture, tolerance

SMALL = {"width": 4, "num_res": 1}


@pytest.mark.parametrize(("kind", "parameters"), [(MIMOUNet, 6_807_171), (MIMOUNetPlus, 16_107_651)])
def test_published_numbers_of_parameters(kind, parameters: int):
    with torch.device("meta"):
        net = kind()
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


@pytest.mark.data
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("name", "kind"), [("mimounet", MIMOUNet), ("mimounetplus", MIMOUNetPlus)])
def test_parity_with_the_published_network(name: str, kind, tmp_path):
    options, state, arrays = fixture(name)
    torch.save({"model": state}, tmp_path / "published.pth")
    net = kind(**options).eval()
    load_network(net, tmp_path / "published.pth")
    rebuilt = rebuild_network(tmp_path / "published.pth").net
    assert rebuilt.block == {"type": "MIMOUNet", "img_channel": 3, "width": 32, "num_res": 2}
    with torch.no_grad():
        stages = net.stages(arrays["in_x"])
        assert torch.equal(stages["restored"], net(arrays["in_x"]))
        assert torch.equal(stages["restored"], rebuilt(arrays["in_x"]))
    for scale, image in zip(("full", "half", "quarter"), stages["scales"], strict=True):
        assert distance(image, arrays[f"out_{scale}"]) < tolerance(name), scale


@pytest.mark.parametrize(("kind", "num_res"), [(MIMOUNet, 8), (MIMOUNetPlus, 20)])
def test_a_published_file_is_recognized_by_its_number_of_blocks(kind, num_res: int, tmp_path):
    net = kind(width=4)
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"model": state, "epoch": 3000}, tmp_path / "published.pth")
    rebuilt = rebuild_network(tmp_path / "published.pth").net
    assert rebuilt.block == {"type": kind.__name__, "img_channel": 3, "width": 4, "num_res": num_res}


def test_channels_that_stand_behind_the_image_are_counted():
    state = MIMOUNet(extra_channel=2, **SMALL).state_dict()
    assert MIMOUNet.recognize(state) is None
    assert MIMOUNet.recognize(state, 2) == {"img_channel": 3, **SMALL}


def test_networks_with_other_blocks_are_not_taken_for_it():
    state = MIMOUNet(**SMALL).state_dict()
    assert MIMOUNet.recognize(state) == {"img_channel": 3, **SMALL}
    state["Encoder.0.layers.0.main_fft.0.main.0.weight"] = torch.zeros(8, 8, 1, 1)
    assert MIMOUNet.recognize(state) is None


def test_regions_stand_in_front_of_it(tmp_path):
    block = {"type": "WithMAP", "net": {"type": "MIMOUNet", **SMALL}, "seg_channel": 2}
    net = build_network(block).eval()
    torch.save(net.state_dict(), tmp_path / "published.pth")
    other = rebuild_network(tmp_path / "published.pth").net
    image, labels = torch.rand(1, 3, 13, 18), torch.randint(0, 4, (1, 13, 18))
    with torch.no_grad():
        stages = net.stages(image, labels)
        assert torch.equal(stages["restored"], other(image, labels))
    assert [scale.shape[-2:] for scale in stages["scales"]] == [(16, 20), (8, 10), (4, 5)]


def test_scales_are_of_the_padded_image_and_the_finest_is_the_restored_one():
    net = MIMOUNet(**SMALL).eval()
    with torch.no_grad():
        stages = net.stages(torch.rand(2, 3, 13, 18))
    assert [image.shape[-2:] for image in stages["scales"]] == [(16, 20), (8, 10), (4, 5)]
    assert torch.equal(stages["restored"], stages["scales"][0][..., :13, :18])


def test_restoring_does_not_compute_the_coarser_images():
    net = MIMOUNet(**SMALL).eval()
    for layer in net.ConvsOut:
        layer.register_forward_hook(lambda *_: pytest.fail("only losses want this image"))
    net(torch.rand(1, 3, 8, 8))


def test_only_the_larger_network_drops_features_in_training():
    image = torch.rand(1, 3, 8, 8)
    for kind, drops in ((MIMOUNet, False), (MIMOUNetPlus, True)):
        torch.manual_seed(0)
        net = kind(**SMALL).train()
        results = [net(image) for _ in range(8)]
        assert any(not torch.equal(result, results[0]) for result in results) == drops


def test_the_width_has_room_for_the_image():
    """At half resolution the image is among twice ``width`` channels."""
    MIMOUNet(width=3, extra_channel=2, num_res=1)
    with pytest.raises(ValueError, match="width 3 is too small for 6 input channels; use 4 or more"):
        MIMOUNet(width=3, extra_channel=3)
    MIMOUNet(width=4, extra_channel=3, num_res=1)


def test_feature_points_give_what_they_say():
    net = MIMOUNet(**SMALL)
    shapes = {}
    for point in net.feature_points:
        module = net.get_submodule(point.name)
        module.register_forward_hook(
            lambda _, __, output, name=point.name: shapes.update({name: output.shape})
        )
    net(torch.rand(1, 3, 16, 24))
    assert len(net.feature_points) == 3
    for point in net.feature_points:
        assert shapes[point.name] == (1, point.channels, 16 // point.reduction, 24 // point.reduction)


@pytest.mark.slow
def test_onnx_gives_the_same_numbers():
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = MIMOUNet(**SMALL).eval()
    image = torch.rand(1, 3, 33, 20)
    file = io.BytesIO()
    torch.onnx.export(net, (image,), dynamo=True, verbose=False).save(file)
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        assert np.abs(result - net(image).numpy()).max() < 1e-4
