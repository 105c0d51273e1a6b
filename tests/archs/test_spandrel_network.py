"""Networks of other toolkits give the numbers of the package spandrel, and are used like those made here."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from basicsr.archs.spandrel_network import Spandrel
from basicsr.config.cli import Arguments
from basicsr.engine.inference import Windows
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.test import test as run_test
from basicsr.train import train as run_train
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.image import read_rgb, to_chw, to_tensor

spandrel = pytest.importorskip("spandrel")

from spandrel.architectures.Compact import Compact  # noqa: E402
from spandrel.architectures.FFTformer import FFTformer  # noqa: E402
from spandrel.architectures.SCUNet import SCUNet  # noqa: E402
from spandrel.architectures.Uformer import Uformer  # noqa: E402


def compact(channels: int = 3, scale: int = 1) -> nn.Module:
    """Three convolutions, which add to the image."""
    torch.manual_seed(0)
    return Compact(num_in_ch=channels, num_out_ch=channels, num_feat=8, num_conv=1, upscale=scale)


def fftformer() -> nn.Module:
    torch.manual_seed(0)
    return FFTformer(dim=8, num_blocks=[1, 1, 1], num_refinement_blocks=1)


def uformer() -> nn.Module:
    torch.manual_seed(0)
    return Uformer(img_size=128, embed_dim=8, depths=[1] * 9)


def scunet() -> nn.Module:
    torch.manual_seed(0)
    return SCUNet(config=[1] * 7, dim=32)


@pytest.fixture
def weights(tmp_path) -> Path:
    """A file as another toolkit writes it."""
    torch.save({"params": compact().state_dict(), "iter": 3}, tmp_path / "compact.pth")
    return tmp_path / "compact.pth"


@pytest.fixture
def options(paired_set, tmp_path, monkeypatch, weights) -> Path:
    """An option file that tests the network, in the current folder."""
    monkeypatch.chdir(tmp_path)
    paired = {"type": "PairedImageDataset", "num_worker_per_gpu": 0}
    paired |= {"dataroot_gt": f"{paired_set}/target", "dataroot_lq": f"{paired_set}/input"}
    output = {
        "name": "zoo",
        "num_gpu": 0,
        "network_g": {"type": "Spandrel", "weights": str(weights)},
        "datasets": {"test": {"name": "pairs", **paired}},
        "val": {"metrics": {"psnr": {"type": "calculate_psnr"}}, "save_img": True},
    }
    Path("test.yml").write_text(yaml.safe_dump(output))
    train = {
        "total_iter": 1,
        "optim_g": {"type": "AdamW", "lr": 1e-3},
        "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 1, "eta_min": 0.0},
        "pixel_opt": {"type": "L1Loss"},
    }
    output |= {"train": train, "datasets": {"train": {"name": "pairs", "gt_size": 16, **paired}}}
    Path("train.yml").write_text(yaml.safe_dump(output))
    return tmp_path


def run(command, file: str, *overrides: str) -> None:
    command(Arguments(file, list(overrides), "none", False, debug=True))


def own(net: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """What spandrel gives for (1, 3, H, W)."""
    return spandrel.ModelLoader().load_from_state_dict(net.state_dict())(image)


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 190, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("make", [compact, fftformer, uformer])
@pytest.mark.parametrize("size", [(64, 32), (37, 51), (1, 1)])
def test_it_gives_what_spandrel_gives_at_every_size(make, size: tuple[int, int]):
    net = make()
    images = torch.rand(2, 3, *size)
    before = images.clone()
    with torch.no_grad():
        result = Spandrel(net.state_dict())(images)
    assert result.shape == images.shape
    assert torch.equal(result, torch.cat([own(net, image) for image in images.split(1)]))
    assert torch.equal(images, before)
    assert not result.is_inference(), "a loss may use it"


@pytest.mark.parametrize(
    ("make", "rule"), [(compact, (1, 1, False)), (fftformer, (32, 1, False)), (scunet, (1, 40, False)),
                       (uformer, (128, 1, True))]
)  # fmt: skip
def test_its_size_rule_is_that_of_spandrel(make, rule: tuple[int, int, bool]):
    output = Spandrel(make().state_dict()).size_rule
    assert (output.multiple_of, output.minimum, output.square) == rule


def test_nothing_of_it_takes_a_gradient():
    net = Spandrel(compact().state_dict())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert net.input_channels == net.img_channel == 3


def test_tiles_differ_from_the_whole_photo_at_their_borders_only():
    """Three convolutions see three pixels far. Tiles begin at the rows 0, 10 and the columns 0, 15, 30."""
    net = Spandrel(compact().state_dict())
    image = torch.rand(1, 3, 50, 70)
    with torch.no_grad():
        tiled, whole = Windows(40, 40, overlap=20)(net, (image,)), net(image)
    near_border = torch.zeros(50, 70, dtype=torch.bool)
    for row in (10, 37):
        near_border[row : row + 3] = True
    for column in (15, 30, 37, 52):
        near_border[:, column : column + 3] = True
    torch.testing.assert_close(tiled[..., ~near_border], whole[..., ~near_border], atol=1e-6, rtol=0)


def test_a_photo_is_restored_in_tiles_from_the_file_alone(weights, caplog):
    with caplog.at_level(logging.INFO):
        restorer = Restorer.from_checkpoint(weights, RestoreOptions(tile=64, overlap=32, guard="keep"))
    assert "RealESRGAN Compact 8nf 1nc of spandrel" in caplog.text and "[params]" in caplog.text
    image = photo(90, 130)
    restored = restorer.run(image)
    whole = own(compact(), to_tensor(to_chw(image))[None])[0]
    expected = (whole * 255).round().permute(1, 2, 0).numpy()
    assert restored.tile == 64
    assert np.abs(restored.image - expected)[3:-3, 3:-3].mean() < 0.5


def test_the_guard_looks_at_it(tmp_path):
    net = compact()
    with torch.no_grad():
        net.body[-1].bias.fill_(0.9)
    torch.save(net.state_dict(), tmp_path / "white.pth")
    image = photo(64, 64)
    restored = Restorer.from_checkpoint(tmp_path / "white.pth").run(image)
    assert restored.findings.bad == restored.findings.replaced == 64 * 64
    assert np.array_equal(restored.image, image)


def test_it_is_tested_in_the_same_tables(options):
    run(run_test, "test.yml")
    told = json.loads(Path("results/zoo/metrics.json").read_text())["pairs"]
    assert len(told["images"]) == 6 and np.isfinite(told["mean"]["psnr"])
    (first,) = Path("results/zoo").rglob("photo_0*.png")
    image = to_tensor(to_chw(read_rgb(options / "set/input/photo_0.png")))[None]
    expected = (own(compact(), image)[0] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    assert np.array_equal(read_rgb(first), expected)


def test_it_is_tested_in_tiles(options):
    run(run_test, "test.yml", "val.tile=24", "val.tile_overlap=8")
    assert Path("results/zoo/metrics.json").is_file()


def test_it_is_not_trained(options):
    with pytest.raises(OptionError, match=r"^network_g.type: Spandrel is not trained, only tested; .*frozen"):
        run(run_train, "train.yml")
    assert not Path("experiments").exists()


def test_its_weights_are_asked_for(options):
    with pytest.raises(OptionError, match=r"^network_g.weights: required by Spandrel, but not given"):
        run(run_test, "test.yml", "network_g.weights=null")


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: compact(scale=2), "enlarges 2 times; use a network that keeps the size"),
        (lambda: compact(channels=1), r"takes 1 channel\(s\) and returns 1, but photos are read as RGB"),
        (lambda: nn.Linear(2, 2), "does not recognize these weights"),
        (
            lambda: {"body.0.weight": torch.zeros(3), "body.1.weight": torch.zeros(3)},
            "cannot build a network",
        ),
    ],
)
def test_a_network_that_restores_no_photos_is_one_line(options, net, message: str):
    made = net()
    torch.save(made if isinstance(made, dict) else made.state_dict(), "other.pth")
    with pytest.raises(UserError, match=rf"^other.pth: .*{message}") as in_options:
        run(run_test, "test.yml", "network_g.weights=other.pth")
    with pytest.raises(UserError, match=rf"^other.pth: holds weights of none of .*{message}") as in_photos:
        Restorer.from_checkpoint("other.pth")
    assert "\n" not in str(in_options.value) + str(in_photos.value)


def test_without_the_package_its_extra_is_named(options, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(UserError, match=r"needs the package 'spandrel'.*pip install 'sam-deblur\[zoo\]'"):
        run(run_test, "test.yml")
    with pytest.raises(
        UserError, match=r"holds weights of none of .*pip install 'sam-deblur\[zoo\]'$"
    ) as error:
        Restorer.from_checkpoint(weights)
    assert "\n" not in str(error.value)


def test_a_file_that_could_run_code_is_refused(options):
    torch.save(compact(), "pickled.pth")
    with pytest.raises(UserError, match=r"^pickled.pth: refused: it holds Python objects"):
        run(run_test, "test.yml", "network_g.weights=pickled.pth")


@pytest.mark.parametrize("choice", [{"local": True}, {"padding": "zeros"}])
def test_how_it_pools_and_pads_is_its_own(weights, choice: dict):
    with pytest.raises(UserError, match=r"compact.pth: .*leave --local and --padding out"):
        Restorer.from_checkpoint(weights, **choice)
