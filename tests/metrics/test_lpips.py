"""LPIPS with random weights in the published layouts, against the formula written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from basicsr.metrics import LPIPS
from basicsr.metrics.base import facts_of
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.registry import METRICS

# The longest sums of the networks have 512 * 3 * 3 products, added in float32.
FLOAT32 = 4608 * torch.finfo(torch.float32).eps

ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
VGG_INDEX = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG_WIDTH = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


def random_backbone(net: str, generator: torch.Generator) -> dict[str, torch.Tensor]:
    shapes = ALEX
    if net == "vgg":
        channels = (3, *VGG_WIDTH[:-1])
        shapes = {i: (w, c, 3) for i, w, c in zip(VGG_INDEX, VGG_WIDTH, channels, strict=True)}
    state = {"classifier.6.bias": torch.zeros(1000)}
    for index, (width, channels, size) in shapes.items():
        scale = (2 / (channels * size * size)) ** 0.5
        state[f"features.{index}.weight"] = scale * torch.randn(
            width, channels, size, size, generator=generator
        )
        state[f"features.{index}.bias"] = 0.1 * torch.randn(width, generator=generator)
    return state


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Backbone and heads by network."""
    folder = tmp_path_factory.mktemp("lpips")
    generator = torch.Generator().manual_seed(0)
    for net, widths in WIDTHS.items():
        torch.save(random_backbone(net, generator), folder / f"{net}.pth")
        heads = {
            f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1, generator=generator)
            for i, w in enumerate(widths)
        }
        torch.save(heads, folder / f"{net}_heads.pth")
    return {net: (str(folder / f"{net}.pth"), str(folder / f"{net}_heads.pth")) for net in WIDTHS}


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    gt = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return np.roll(gt, 3, axis=1), gt


def features(net: str, state: dict[str, torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
    """The five outputs that are compared, by plain functions."""

    def conv(x: torch.Tensor, index: int, **how: int) -> torch.Tensor:
        return functional.conv2d(
            x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], **how
        ).relu()

    if net == "alex":
        first = conv(x, 0, stride=4, padding=2)
        second = conv(functional.max_pool2d(first, 3, 2), 3, padding=2)
        third = conv(functional.max_pool2d(second, 3, 2), 6, padding=1)
        fourth = conv(third, 8, padding=1)
        return [first, second, third, fourth, conv(fourth, 10, padding=1)]
    outputs = []
    for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
        for index in block:
            x = conv(x, index, padding=1)
        outputs.append(x)
        x = functional.max_pool2d(x, 2)
    return outputs


def by_formula(net: str, files: tuple[str, str], restored: np.ndarray, gt: np.ndarray) -> float:
    """In float64."""
    backbone, heads = (
        {name: value.double() for name, value in torch.load(file, weights_only=True).items()}
        for file in files
    )
    mean, deviation = (
        torch.tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]]).double().view(2, 1, 3, 1, 1)
    )
    compared = []
    for image in (restored, gt):
        x = torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None]
        compared.append(features(net, backbone, (x - mean) / deviation))
    total = 0.0
    for i, (a, b) in enumerate(zip(*compared, strict=True)):
        a, b = (x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
        total += float(((a - b).square() * heads[f"lin{i}.model.1.weight"]).sum(1).mean())
    return total


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_formula(files, images, net: str) -> None:
    expected = by_formula(net, files[net], *images)
    assert expected > 0.01
    metric = LPIPS(*files[net], net, device="cpu")
    assert metric(*images) == pytest.approx(expected, rel=FLOAT32)
    a, b = (torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None] for image in images)
    assert float(metric.distance.double()(a, b)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_equal_images_have_no_distance(files, images, net: str) -> None:
    _, gt = images
    assert LPIPS(*files[net], net, device="cpu")(gt, gt) == 0


def test_each_image_of_a_batch_has_its_own_distance(files) -> None:
    distance = LPIPS(*files["alex"], device="cpu").distance.double()
    a, b = 2 * torch.rand(2, 2, 3, 40, 48, generator=torch.Generator().manual_seed(0)).double() - 1
    alone = torch.cat([distance(a[i : i + 1], b[i : i + 1]) for i in range(2)])
    together = distance(a, b)
    assert together.shape == (2,) and alone[0] != alone[1]
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=0)


def test_8_bit_and_float_images_agree(files, images) -> None:
    metric = LPIPS(*files["alex"], device="cpu")
    assert metric(*(image / 255 for image in images)) == pytest.approx(metric(*images), rel=FLOAT32)


def test_option_files_name_the_metric(files, images) -> None:
    backbone, heads = files["alex"]
    metric = METRICS.build("LPIPS", {"backbone": backbone, "heads": heads, "net": "alex", "device": "cpu"})
    restored, gt = images
    assert metric(restored=restored, gt=gt) == LPIPS(backbone, heads, device="cpu")(restored, gt)
    with pytest.raises(OptionError, match="heads: no such file"):
        METRICS.build("LPIPS", {"backbone": backbone, "heads": "nowhere.pth"})


def test_weights_take_no_gradient_and_no_dropout(files) -> None:
    distance = LPIPS(*files["alex"], device="cpu").distance
    distance.train()
    assert not any(module.training for module in distance.modules())
    assert not any(parameter.requires_grad for parameter in distance.parameters())


class TestRefused:
    def test_heads_of_the_other_network(self, files) -> None:
        with pytest.raises(
            UserError, match=r"vgg_heads.pth: 'lin1.model.1.weight' has the shape .* for alex"
        ):
            LPIPS(files["alex"][0], files["vgg"][1], "alex", device="cpu")

    def test_backbone_and_heads_exchanged(self, files) -> None:
        backbone, heads = files["alex"]
        with pytest.raises(UserError, match=r"has no 'features.0.weight'; use torchvision's .* alexnet"):
            LPIPS(heads, backbone, "alex", device="cpu")

    def test_small_images(self, files) -> None:
        with pytest.raises(ValueError, match="32x32 pixels, got 31x64"):
            LPIPS(*files["alex"], device="cpu")(*np.zeros((2, 31, 64, 3), np.uint8))

    def test_a_device_that_is_not_there(self, files) -> None:
        with pytest.raises(UserError, match="cannot use 'nowhere'"):
            LPIPS(*files["alex"], device="nowhere")

    def test_a_network_that_python_code_got_wrong(self, files) -> None:
        with pytest.raises(ValueError, match="net: expected one of alex, vgg, got 'squeeze'"):
            LPIPS(*files["alex"], "squeeze", device="cpu")


def test_lower_is_better_as_it_says(files, images) -> None:
    shifted, gt = images
    backbone, heads = files["alex"]
    metric = METRICS.build("LPIPS", {"backbone": backbone, "heads": heads, "device": "cpu"})
    assert facts_of("LPIPS").better == "lower" and metric(gt, gt) < metric(shifted, gt)
