"""Perceptual loss with a small file of random VGG weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from basicsr.layers.pretrained import layer_names
from basicsr.losses import PerceptualLoss
from basicsr.losses.perceptual import gram
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import LOSSES

# The loss is float32 and the formula float64. The longest sums are those of conv2_1, of 64 * 3 * 3 products;
# the errors of features differ in sign, so that averages of them are no further off.
FLOAT32 = {"rtol": 576 * torch.finfo(torch.float32).eps, "atol": 0}

VGG11_SHALLOW = {"features.0": (64, 3), "features.3": (128, 64)}  # conv1_1 and conv2_1


def random_weights(shapes: dict[str, tuple[int, int]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, (width, channels) in shapes.items():
        state[f"{name}.weight"] = 0.1 * torch.randn(width, channels, 3, 3, generator=generator)
        state[f"{name}.bias"] = 0.1 * torch.randn(width, generator=generator)
    return state


@pytest.fixture(scope="module")
def vgg11(tmp_path_factory: pytest.TempPathFactory) -> str:
    """torchvision's names, as far as pool2, and a classifier that nobody asks for."""
    path = tmp_path_factory.mktemp("weights") / "vgg11.pth"
    torch.save(random_weights(VGG11_SHALLOW) | {"classifier.6.bias": torch.zeros(1000)}, path)
    return str(path)


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pred, target = torch.rand(2, 2, 3, 12, 16, generator=generator)
    return pred, target


def features_by_hand(image: torch.Tensor, weights: str) -> dict[str, torch.Tensor]:
    """The first two blocks of VGG-11, written out, in float64."""
    image = image.double()
    state = {name: value.double() for name, value in torch.load(weights, weights_only=True).items()}
    conv1_1 = functional.conv2d(image, state["features.0.weight"], state["features.0.bias"], padding=1)
    relu1_1 = conv1_1.clamp(min=0)
    pool1 = functional.max_pool2d(relu1_1, 2)
    conv2_1 = functional.conv2d(pool1, state["features.3.weight"], state["features.3.bias"], padding=1)
    return {"conv1_1": conv1_1, "relu1_1": relu1_1, "pool1": pool1, "conv2_1": conv2_1}


def normalized(image: torch.Tensor) -> torch.Tensor:
    statistics = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]
    mean, std = torch.tensor(statistics, dtype=torch.float64).view(2, 1, 3, 1, 1)
    return (image.double() - mean) / std


@pytest.mark.parametrize(
    ("criterion", "distance"),
    [
        ("l1", lambda difference: difference.abs().mean()),
        ("l2", lambda difference: (difference**2).mean()),
        ("fro", lambda difference: (difference**2).sum().sqrt()),
    ],
)
def test_formula(vgg11: str, images, criterion: str, distance) -> None:
    weights = {"conv1_1": 0.5, "relu1_1": 1.0, "conv2_1": 2.0}
    pred, target = (features_by_hand(normalized(image), vgg11) for image in images)
    perceptual = sum(weight * distance(pred[name] - target[name]) for name, weight in weights.items())
    style = sum(weight * distance(gram(pred[name]) - gram(target[name])) for name, weight in weights.items())

    loss = PerceptualLoss(
        weights, vgg11, "vgg11", perceptual_weight=3.0, style_weight=10.0, criterion=criterion
    )
    torch.testing.assert_close(loss(*images).double(), 3 * perceptual + 10 * style, **FLOAT32)
    only_style = PerceptualLoss(
        weights, vgg11, "vgg11", perceptual_weight=0.0, style_weight=1.0, criterion=criterion
    )
    torch.testing.assert_close(only_style(*images).double(), style, **FLOAT32)


def test_gram_is_the_scaled_inner_product_of_channels() -> None:
    features = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = sum((features[1, 0] * features[1, 3]).flatten()) / (4 * 3 * 5)
    torch.testing.assert_close(gram(features)[1, 0, 3], expected)
    assert gram(features).shape == (2, 4, 4)


def test_norms_of_the_input(vgg11: str, images) -> None:
    signed = [2 * image - 1 for image in images]
    plain = PerceptualLoss({"pool1": 1.0}, vgg11, "vgg11")
    ranged = PerceptualLoss({"pool1": 1.0}, vgg11, "vgg11", range_norm=True)
    torch.testing.assert_close(ranged(*signed), plain(*images), **FLOAT32)
    raw = PerceptualLoss({"pool1": 1.0}, vgg11, "vgg11", use_input_norm=False)
    pred, target = (features_by_hand(image, vgg11)["pool1"] for image in images)
    torch.testing.assert_close(raw(*images).double(), (pred - target).abs().mean(), **FLOAT32)


@pytest.mark.parametrize("criterion", ["l1", "l2", "fro"])
def test_equal_images_cost_nothing_and_pull_nowhere(vgg11: str, images, criterion: str) -> None:
    pred = images[0].clone().requires_grad_()
    loss = PerceptualLoss({"relu1_1": 1.0}, vgg11, "vgg11", style_weight=1.0, criterion=criterion)(
        pred, images[0]
    )
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(pred.grad, torch.zeros_like(pred))


def test_gradient_reaches_the_prediction_only(vgg11: str, images) -> None:
    pred, target = (image.clone().requires_grad_() for image in images)
    loss = PerceptualLoss({"conv2_1": 1.0}, vgg11, "vgg11", style_weight=1.0)
    loss(pred, target).backward()
    assert pred.grad.abs().sum() > 0
    assert target.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())


def test_network_is_frozen_and_stays_in_evaluation_mode(vgg11: str) -> None:
    loss = PerceptualLoss({"pool2": 1.0}, vgg11, "vgg11")
    nn.ModuleList([loss]).train()
    assert loss.training
    assert not any(module.training for module in loss.vgg.modules())
    assert list(loss.parameters())
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_the_statistics_of_imagenet_are_no_weights(vgg11: str) -> None:
    state = PerceptualLoss({"relu1_1": 1.0}, vgg11, "vgg11").state_dict()
    assert list(state) == ["vgg.features.0.weight", "vgg.features.0.bias"]


def test_only_the_layers_needed_are_built(vgg11: str) -> None:
    loss = PerceptualLoss({"relu1_1": 1.0}, vgg11, "vgg11")
    assert list(loss.vgg.state_dict()) == ["features.0.weight", "features.0.bias"]
    assert len(loss.vgg.features) == 2


def test_float32_under_autocast(vgg11: str, images) -> None:
    loss = PerceptualLoss({"conv2_1": 1.0}, vgg11, "vgg11", style_weight=1.0)
    pred, target = (image.bfloat16() for image in images)
    expected = loss(pred.float(), target.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(pred, target), expected)


@pytest.mark.parametrize(("vgg_type", "index"), [("vgg11", 18), ("vgg13", 22), ("vgg16", 28), ("vgg19", 34)])
def test_layers_stand_where_torchvision_has_them(vgg_type: str, index: int) -> None:
    """The index of the last convolution in the published state dicts; a pooling layer ends each."""
    names = layer_names(vgg_type)
    convolutions = [place for place, name in enumerate(names) if name.startswith("conv")]
    assert convolutions[-1] == index
    assert len(convolutions) == int(vgg_type[3:]) - 3
    assert names[-3:] == [names[index], names[index].replace("conv", "relu"), "pool5"]


def test_vgg19_is_the_default_and_has_the_published_widths(tmp_path: Path) -> None:
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256)}
    path = tmp_path / "vgg19.pth"
    torch.save(random_weights({f"features.{index}": shape for index, shape in shapes.items()}), path)
    loss = PerceptualLoss({"relu3_2": 1.0}, str(path))
    assert loss.vgg(torch.zeros(1, 3, 16, 16))["relu3_2"].shape == (1, 256, 4, 4)


class TestRefused:
    def test_missing_key(self, vgg11: str) -> None:
        with pytest.raises(
            UserError, match=r"vgg11.pth: has no 'features.6.weight'; .*torchvision's .* of vgg11"
        ):
            PerceptualLoss({"conv3_1": 1.0}, vgg11, "vgg11")

    def test_weights_of_another_vgg(self, vgg11: str) -> None:
        with pytest.raises(UserError, match=r"vgg11.pth: has no 'features.2.weight'; .* of vgg19"):
            PerceptualLoss({"conv2_1": 1.0}, vgg11)

    def test_other_shape(self, tmp_path: Path) -> None:
        path = tmp_path / "wide.pth"
        torch.save(random_weights({"features.0": (32, 3)}), path)
        with pytest.raises(
            UserError, match=r"wide.pth: 'features.0.weight' has the shape \(32, 3, 3, 3\), not \(64"
        ):
            PerceptualLoss({"conv1_1": 1.0}, str(path), "vgg11")

    @pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut short"])
    def test_no_weights(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "page.pth"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"page.pth: cannot be read as weights") as caught:
            PerceptualLoss({"conv1_1": 1.0}, str(path), "vgg11")
        assert "\n" not in str(caught.value)

    def test_pickled_code_is_not_run(self, tmp_path: Path) -> None:
        path = tmp_path / "module.pth"
        torch.save(nn.Conv2d(3, 64, 3), path)
        with pytest.raises(UserError, match="cannot be read as weights"):
            PerceptualLoss({"conv1_1": 1.0}, str(path), "vgg11")

    def test_a_bare_tensor(self, tmp_path: Path) -> None:
        path = tmp_path / "tensor.pth"
        torch.save(torch.zeros(3), path)
        with pytest.raises(UserError, match=r"tensor.pth: holds a Tensor"):
            PerceptualLoss({"conv1_1": 1.0}, str(path), "vgg11")

    def test_unknown_layer(self, vgg11: str) -> None:
        with pytest.raises(UserError, match=r"vgg11 has no layer 'conv1_2'. Known: conv1_1, relu1_1, pool1"):
            PerceptualLoss({"conv1_2": 1.0}, vgg11, "vgg11")

    def test_nothing_to_compute(self, vgg11: str) -> None:
        with pytest.raises(UserError, match="at least one layer"):
            PerceptualLoss({}, vgg11, "vgg11")
        with pytest.raises(UserError, match=r"perceptual_weight: 0, and style_weight too"):
            PerceptualLoss({"pool1": 1.0}, vgg11, "vgg11", perceptual_weight=0.0)

    def test_file_that_is_not_there(self) -> None:
        with pytest.raises(OptionError, match=r"vgg_weights: no such file \(got 'nowhere.pth'\)"):
            LOSSES.build("PerceptualLoss", {"layer_weights": {"pool1": 1}, "vgg_weights": "nowhere.pth"})

    def test_shapes_that_differ(self, vgg11: str) -> None:
        loss = PerceptualLoss({"pool1": 1.0}, vgg11, "vgg11")
        with pytest.raises(ValueError, match=r"\(2, 3, 8, 8\).*\(1, 3, 8, 8\)"):
            loss(torch.zeros(2, 3, 8, 8), torch.zeros(1, 3, 8, 8))

    def test_names_that_python_code_got_wrong(self, vgg11: str) -> None:
        with pytest.raises(ValueError, match="criterion: expected one of l1, l2, fro, got 'l3'"):
            PerceptualLoss({"conv1_1": 1.0}, vgg11, "vgg11", criterion="l3")
        with pytest.raises(ValueError, match="vgg_type: expected one of vgg11, .*, got 'vgg12'"):
            PerceptualLoss({"conv1_1": 1.0}, vgg11, "vgg12")
