"""bfloat16 is chosen where it changes nothing that could be measured, and leaves the image itself alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from basicsr.archs.base import RestorationNetwork
from basicsr.archs.nafnet import NAFNet
from basicsr.restoration import RestoreOptions, Restorer
from basicsr.restoration.precision import LEAST_AGREEMENT, agreement, drawn_photo

AUTO = RestoreOptions(amp="auto", device="cpu", guard="off")


class Scaled(RestorationNetwork):
    """Adds ``amount`` times a 1x1 convolution of the image."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.amount = amount

    def forward(self, x: Tensor) -> Tensor:
        return x + self.amount * self.layer(x)


class Differences(Scaled):
    """Adds differences of neighboring colors, of which rounding leaves little."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.layer.weight.data = 20 * (torch.eye(3) - torch.eye(3).roll(1, 0))[:, :, None, None]


class Replacing(Scaled):
    """Gives an image of its own instead of adding to the one that it takes."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class InFloat32Only(Scaled):
    def forward(self, x: Tensor) -> Tensor:
        if self.layer.weight.dtype != torch.float32:
            raise RuntimeError("not implemented for 'BFloat16'")
        return super().forward(x)


@pytest.fixture(autouse=True)
def has_it(monkeypatch):
    monkeypatch.setattr("basicsr.restoration.restorer.has_bfloat16", lambda device: True)


def test_the_least_agreement_costs_two_hundredths_of_a_decibel():
    """PSNR of a result that is 35 dB from the truth, once an independent error is added."""
    generator = np.random.default_rng(0)
    truth = torch.from_numpy(generator.uniform(0.3, 0.7, 1_000_000))
    result, error = (
        torch.from_numpy(generator.normal(0, 10 ** (-decibels / 20), truth.shape))
        for decibels in (35, LEAST_AGREEMENT)
    )
    before, after = agreement(truth, truth + result), agreement(truth, truth + result + error)
    assert before == pytest.approx(35, abs=0.01)
    # The standard error of the mean of 1,000,000 products is 0.0006 dB.
    assert before - after == pytest.approx(0.02, abs=0.003)


def test_agreement_without_an_error_and_without_a_result():
    zero = torch.zeros(3)
    assert agreement(zero, zero) == math.inf
    assert math.isnan(agreement(zero, torch.tensor([0.0, math.nan, 0.0])))


@pytest.mark.parametrize(("net", "chosen"), [
    (lambda: Scaled(0.01), "bf16"),
    (Differences, "off"),
    (lambda: Scaled(math.nan), "off"),
    (lambda: Replacing(1.0), "off"),  # PSNR would be enough, but smooth areas would become steps
    (lambda: InFloat32Only(0.01), "off"),
])  # fmt: skip
def test_the_weights_decide(net, chosen: str):
    torch.manual_seed(0)
    assert Restorer(net(), AUTO).amp == chosen


def test_without_the_instructions_it_is_off(monkeypatch):
    monkeypatch.setattr("basicsr.restoration.restorer.has_bfloat16", lambda device: False)
    assert Restorer(Scaled(0.01), AUTO).amp == "off"


def test_without_weights_there_is_nothing_to_round():
    net = Scaled(0.01)
    del net.layer
    assert Restorer(net, AUTO).amp == "off"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_what_a_network_leaves_alone_is_not_rounded(amp: str, dtype):
    """bfloat16 has 8 significant bits, so a photo of 16 bits would lose half of them."""
    net = NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1])
    nn.init.zeros_(net.ending.weight)
    nn.init.zeros_(net.ending.bias)
    photo = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (24, 20, 3), dtype, endpoint=True)
    restored = Restorer(net, RestoreOptions(amp=amp, device="cpu", guard="off")).restore(photo)
    assert np.array_equal(restored, photo)


def test_weights_and_means_of_regions_keep_their_precision(tmp_path):
    """The network itself stays in float32: it is what a second try uses."""
    net = Scaled(0.01)
    restorer = Restorer(net, RestoreOptions(amp="bf16", device="cpu", guard="off"))
    restorer.restore(drawn_photo())
    assert restorer.net.layer.weight.dtype == torch.float32


def test_the_drawn_photo_is_one_and_has_the_spectrum_of_photos():
    """Amplitudes fall off at least as 1 / f, as those of blurred photos do."""
    photo = drawn_photo()
    assert np.array_equal(photo, drawn_photo())
    assert photo.min() == 0 and photo.max() > 240
    spectrum = np.abs(np.fft.rfft2(photo[..., 1] - photo[..., 1].mean()))
    low, high = spectrum[2:8, 2:8].mean(), spectrum[40:80, 40:80].mean()
    assert low > 10 * high
