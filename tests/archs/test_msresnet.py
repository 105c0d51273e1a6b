"""MSResNet: published numbers and weights, and what goes from scale to scale."""

from __future__ import annotations

import pytest
import torch

from basicsr.archs import MSResNet
from basicsr.archs.base import recognize
from basicsr.checkpoints.rebuild import rebuild_network
from basicsr.layers.pyramid import gaussian_pyramid
from tests.sister_parity import distance, fixture, tolerance

TINY = {"width": 4, "blocks": 1}


def build(**options: object) -> MSResNet:
    torch.manual_seed(0)
    return MSResNet(**{**TINY, **options}).eval()


def image(height: int = 16, width: int = 16, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_published_number_of_parameters():
    with torch.device("meta"):
        net = MSResNet()
    assert sum(parameter.numel() for parameter in net.parameters()) == 11_721_321


@pytest.mark.usefixtures("shared")
@pytest.mark.data
def test_parity(shared, tmp_path, monkeypatch):
    """The published network takes the pyramid; its file keeps the weights under ``G``."""
    _, state, arrays = fixture("msresnet")
    torch.save({"G": state}, tmp_path / "G-epoch-1000.pt")
    net = rebuild_network(tmp_path / "G-epoch-1000.pt").net
    assert net.block == {"type": "MSResNet", "img_channel": 3, "width": 64, "blocks": 3, "scales": 3}
    pyramid = [arrays[f"in_{scale}"] / 255 for scale in ("fine", "mid", "coarse")]
    monkeypatch.setattr("basicsr.archs.msresnet.gaussian_pyramid", lambda x, scales: pyramid)
    with torch.no_grad():
        scales = net.stages(pyramid[0])["scales"]
    for stage, key in zip(scales, ("out_fine", "out_mid", "out_coarse"), strict=True):
        assert distance(255 * stage, arrays[key]) <= tolerance("msresnet")


def test_each_scale_sees_its_level_of_the_pyramid():
    net = build()
    seen = []
    for model in net.body_models:
        model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net(image())
    for values, level in zip(reversed(seen), gaussian_pyramid(image(), 3), strict=True):
        torch.testing.assert_close(values[:, :3], 255 * level - 127.5)


def test_scales_are_those_of_the_padded_image_finest_first():
    stages = build().stages(image(10, 15))
    assert [tuple(stage.shape) for stage in stages["scales"]] == [(1, 3, 12, 16), (1, 3, 6, 8), (1, 3, 3, 4)]
    assert torch.equal(stages["restored"], stages["scales"][0][..., :10, :15])


def test_the_coarser_result_goes_on_with_its_middle_at_zero():
    """A coarse result of gray 127.5 adds what the biases of the enlargement say, and nothing else."""
    net = build()
    with torch.no_grad():
        for parameter in net.body_models[2].body[-1].parameters():
            parameter.zero_()
    seen = []
    net.body_models[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    stages = net.stages(image())
    assert torch.equal(stages["scales"][2], torch.full((1, 3, 4, 4), 0.5))
    bias = net.conv_end_models[2].uppath[0].bias.reshape(1, 12, 1, 1).expand(1, 12, 4, 4)
    torch.testing.assert_close(seen[0][:, 3:], torch.nn.functional.pixel_shuffle(bias, 2))


@pytest.mark.parametrize(
    "options", [{}, {"scales": 1}, {"scales": 2, "img_channel": 1}, {"extra_channel": 2}]
)
def test_own_weights_are_recognized(options: dict):
    block = recognize(build(**options).state_dict(), options.get("extra_channel", 0))
    known = {"img_channel": 3, **TINY, "scales": 3, **options}
    known.pop("extra_channel", None)
    assert block == {"type": "MSResNet", **known}


def test_further_channels_come_last_at_every_scale():
    net = build(extra_channel=2)
    seen = []
    for model in net.body_models:
        model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 5, 16, 16)
    net(x)
    for values, level in zip(reversed(seen), gaussian_pyramid(x, 3), strict=True):
        torch.testing.assert_close(values[:, -2:], 255 * level[:, 3:])


def test_feature_points_are_what_their_modules_give():
    net, seen = build(), {}
    for point in net.feature_points:
        net.get_submodule(point.name).register_forward_hook(
            lambda module, inputs, output, name=point.name: seen.update({name: output.shape})
        )
    net(image())
    for point in net.feature_points:
        assert seen[point.name] == (1, point.channels, 16 // point.reduction, 16 // point.reduction)
