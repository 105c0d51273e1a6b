"""Losses over stages and scales against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from basicsr.losses import MultiStageCharbonnierLoss, MultiStageFrequencyLoss
from basicsr.losses.multi_stage import MultiStageLoss


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def stages() -> list[list[torch.Tensor]]:
    sizes = [(16, 24), (8, 12), (4, 6)]
    full = [random(2, 3, *size, seed=index) for index, size in enumerate(sizes)]
    return [full, [1 - image for image in full], [full[0] / 2]]  # the last stage has the finest scale alone


def charbonnier(difference: np.ndarray) -> float:
    return float(np.sqrt(difference**2 + 1e-6).mean())


def frequency(difference: np.ndarray) -> float:
    spectrum = np.fft.fft2(difference)
    return float((np.abs(spectrum.real) + np.abs(spectrum.imag)).mean() / 2)


@pytest.mark.parametrize(
    ("loss", "formula", "factor"),
    [
        (MultiStageCharbonnierLoss(), charbonnier, 1.0),
        (MultiStageCharbonnierLoss(0.5), charbonnier, 0.5),
        (MultiStageFrequencyLoss(), frequency, 0.1),
    ],
)
def test_formula(loss: MultiStageLoss, formula, factor: float):
    target = random(2, 3, 16, 24, seed=9)
    resize = {"mode": "bilinear", "antialias": True}
    total = sum(
        formula(
            (image - torch.nn.functional.interpolate(target, image.shape[-2:], **resize)).double().numpy()
        )
        for scales in stages()
        for image in scales
    )
    assert loss(stages(), target).item() == pytest.approx(factor * total, rel=1e-5)


def test_the_finest_target_is_the_image_itself():
    target = random(1, 3, 16, 24)
    assert MultiStageFrequencyLoss()([[target]], target).item() == 0
    assert MultiStageCharbonnierLoss()([[target]], target).item() == pytest.approx(1e-3)


def test_padded_images_are_refused():
    with pytest.raises(
        ValueError, match=r"\(16, 24\) for targets of \(15, 24\); train on crops that need no padding"
    ):
        MultiStageCharbonnierLoss()(stages(), random(2, 3, 15, 24))
