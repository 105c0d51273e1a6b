"""Published feature networks have their published layers, and take nothing but their own weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d

from basicsr.layers.pretrained import AlexFeatures, VggFeatures, layer_names, load_weights
from basicsr.utils.errors import UserError

# Torchvision's AlexNet: number of the layer, and the shape of its weights.
ALEXNET = {
    0: (64, 3, 11, 11),
    3: (192, 64, 5, 5),
    6: (384, 192, 3, 3),
    8: (256, 384, 3, 3),
    10: (256, 256, 3, 3),
}
# Configurations A, B, D and E of Simonyan and Zisserman: channels of the convolutions, M is a pool.
VGG = {
    "vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
# Weights of the convolutions, as torchvision counts them.
PARAMETERS = {"vgg11": 9_220_480, "vgg13": 9_404_992, "vgg16": 14_714_688, "vgg19": 20_024_384}


def write(path: Path, shapes: dict[int, tuple[int, ...]], fill: float = 0.0) -> str:
    """A state dict of one value, which takes hardly any room."""
    value = torch.tensor(fill)
    state = {f"features.{number}.weight": value.expand(shape) for number, shape in shapes.items()}
    state |= {f"features.{number}.bias": value.expand(shape[0]) for number, shape in shapes.items()}
    torch.save(state, path)
    return str(path)


def vgg_shapes(vgg_type: str, layers: int | None = None) -> dict[int, tuple[int, ...]]:
    shapes, number, channels = {}, 0, 3
    for item in VGG[vgg_type].split()[:layers]:
        if item == "M":
            number += 1
        else:
            shapes[number] = (int(item), channels, 3, 3)
            number, channels = number + 2, int(item)
    return shapes


@pytest.mark.parametrize("vgg_type", VGG)
def test_vgg_has_the_layers_of_its_paper(tmp_path, vgg_type):
    layers = [
        name
        for block, count in enumerate((part.count(" ") for part in f" {VGG[vgg_type]}".split("M")[:-1]), 1)
        for name in (
            *(f"{kind}{block}_{n}" for n in range(1, count) for kind in ("conv", "relu")),
            f"pool{block}",
        )
    ]
    assert layer_names(vgg_type) == layers
    net = VggFeatures(["pool5"], vgg_type, write(tmp_path / "w.pth", vgg_shapes(vgg_type)))
    assert sum(weight.numel() for weight in net.parameters()) == PARAMETERS[vgg_type]


def test_vgg_is_convolutions_with_a_margin_of_zeros_relu_and_halving(tmp_path):
    shapes = vgg_shapes("vgg16", 4)
    path = write(tmp_path / "w.pth", shapes)
    generator = torch.Generator().manual_seed(0)
    state = {
        key: 0.1 * torch.randn(value.shape, generator=generator) for key, value in torch.load(path).items()
    }
    torch.save(state, path)
    image = torch.rand(2, 3, 10, 12, generator=generator)
    outputs = VggFeatures(["conv1_1", "pool1", "conv2_1"], "vgg16", path)(image)
    assert list(outputs) == ["conv1_1", "pool1", "conv2_1"]

    def convolved(x: torch.Tensor, number: int) -> torch.Tensor:
        weight, bias = (state[f"features.{number}.{kind}"].double() for kind in ("weight", "bias"))
        return conv2d(x, weight, bias, padding=1)

    first = convolved(image.double(), 0)
    pooled = max_pool2d(convolved(first.relu(), 2).relu(), 2)
    for name, expected in {"conv1_1": first, "pool1": pooled, "conv2_1": convolved(pooled, 5)}.items():
        assert outputs[name].shape == expected.shape
        # each output is a sum of at most 9 * 64 products, three of them in a row
        torch.testing.assert_close(
            outputs[name].double(), expected, rtol=0, atol=1e-5 * expected.abs().max().item()
        )


def test_alexnet_has_the_published_sizes(tmp_path):
    net = AlexFeatures(write(tmp_path / "w.pth", ALEXNET, 0.01))
    assert sum(weight.numel() for weight in net.parameters()) == 2_469_696
    outputs = net(torch.rand(1, 3, 224, 224))
    assert {name: tuple(output.shape[1:]) for name, output in outputs.items()} == {
        "relu1": (64, 55, 55),
        "relu2": (192, 27, 27),
        "relu3": (384, 13, 13),
        "relu4": (256, 13, 13),
        "relu5": (256, 13, 13),
    }
    assert all(output.min() >= 0 for output in outputs.values())


def test_feature_networks_never_train(tmp_path):
    for net in (
        AlexFeatures(write(tmp_path / "a.pth", ALEXNET)),
        VggFeatures(["relu1_1"], "vgg11", write(tmp_path / "v.pth", vgg_shapes("vgg11", 1))),
    ):
        assert not net.train().training
        assert not any(module.training for module in net.modules())
        assert not any(weight.requires_grad for weight in net.parameters())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "layer_weights: name at least one layer. Known: conv1_1, relu1_1, pool1, conv2_1"),
        (["relu1_1", "relu1_2"], "layer_weights: vgg11 has no layer 'relu1_2'. Known: conv1_1"),
    ],
)
def test_layers_that_are_none_are_named(tmp_path, layers, message):
    with pytest.raises(UserError, match=message):
        VggFeatures(layers, "vgg11", str(tmp_path / "not read"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list instead of named weights"),
        ({"weight": torch.zeros(2, 3)}, "has no 'bias'"),
        ({"weight": torch.zeros(2, 3), "bias": 0.0}, "has no 'bias'"),
        (
            {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)},
            r"'weight' has the shape \(3, 2\), not \(2, 3\)",
        ),
    ],
)
def test_files_of_other_weights_are_named(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=f"w.pth: {message}; use mine$"):
        load_weights(torch.nn.Linear(3, 2), str(tmp_path / "w.pth"), "mine")


class Evil:
    def __reduce__(self):
        return (print, ("code from a file was run",))


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    state = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": Evil()}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w.pth: cannot be read as weights \(UnpicklingError\); use mine$"):
        load_weights(torch.nn.Linear(3, 2), str(tmp_path / "w.pth"), "mine")
    assert "code from a file" not in capsys.readouterr().out


def test_other_entries_of_a_file_are_left_alone(tmp_path):
    linear = torch.nn.Linear(3, 2)
    torch.save(
        {"weight": torch.full((2, 3), 4.0), "bias": torch.full((2,), 5.0), "more": 1}, tmp_path / "w.pth"
    )
    load_weights(linear, str(tmp_path / "w.pth"), "mine")
    assert linear.weight.eq(4).all() and linear.bias.eq(5).all()


def test_layers_behind_the_deepest_wanted_one_are_not_built(tmp_path):
    path = write(tmp_path / "w.pth", vgg_shapes("vgg11"))
    assert len(VggFeatures(["relu2_1", "conv1_1"], "vgg11", path).features) == 5
    assert len(VggFeatures(["conv1_1"], "vgg11", path).features) == 1
