"""The plugin of the study evidence_rows.yml turns label maps as SAM-Deblur's published trainer did."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from basicsr.data.transforms import Transform
from basicsr.utils.registry import TRANSFORMS

FILE = Path(__file__).resolve().parents[2] / "options/studies/published_slip/published_slip.py"


@pytest.fixture
def turn() -> Iterator[Transform]:
    """The transform; what the file registers is forgotten afterwards."""
    spec = importlib.util.spec_from_file_location("published_slip", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.RandomRotateWithSlip()
    TRANSFORMS.forget("published_slip")


def test_half_of_the_samples_have_their_regions_elsewhere(turn):
    image = np.arange(3 * 16).reshape(3, 4, 4).astype(np.uint8)
    labels = image[0].astype(np.int32)
    turned, fits = [], []
    for seed in range(400):
        arrays = turn({"lq": image, "gt": image, "labels": labels}, np.random.default_rng(seed))
        assert np.array_equal(arrays["lq"], arrays["gt"])
        turned.append(np.rot90(image[0]).tolist() == arrays["labels"].tolist())
        fits.append(np.array_equal(arrays["lq"][0], arrays["labels"]))
        assert fits[-1] or np.array_equal(arrays["lq"][0], arrays["labels"][::-1])
    # Four standard deviations of a share of 400 samples are 0.1 and 0.087.
    assert np.mean(fits) == pytest.approx(0.5, abs=0.1) and np.mean(turned) == pytest.approx(0.25, abs=0.087)
