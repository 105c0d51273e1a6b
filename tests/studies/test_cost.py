"""Parameters, multiply-adds and time of networks whose cost is known."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from basicsr.archs.base import RestorationNetwork
from basicsr.config.load import load_config
from basicsr.studies.cost import cost_of, measure


class OneConvolution(RestorationNetwork):
    """8 groups of 3x3 from 8 to 16 channels between two 1x1."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 3, padding=1, groups=8), nn.Conv2d(16, 3, 1, bias=False)
        )

    def forward(self, x):
        return self.body(x)


class Attention(RestorationNetwork):
    """Every row attends to itself; one channel a head."""

    def forward(self, x):
        tokens = x[..., None]
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)[..., 0]


def test_multiply_adds_of_convolutions_are_those_of_the_formula():
    cost = measure(OneConvolution(), 16, 24)
    assert cost.parameters == (3 * 8 + 8) + (16 * 9 + 16) + 16 * 3
    assert cost.macs_per_pixel == 3 * 8 + 16 * 9 + 16 * 3
    assert cost.seconds_per_megapixel > 0


def test_attention_counts_both_products():
    height, width = 4, 32
    cost = measure(Attention(), height, width)
    assert cost.parameters == 0
    assert cost.macs_per_pixel == 3 * 2 * width  # 3 channels, each with scores and weighted sums


@pytest.fixture
def options(tmp_path):
    path = tmp_path / "test.yml"
    path.write_text("name: any\nnum_gpu: 0\nnetwork_g: {weights: NAFNet}\ndatasets: {}\n")
    return load_config(path, (), "demo")


def test_what_was_measured_stays_until_something_else_is_asked(options, tmp_path):
    record = tmp_path / "cost.json"
    place, cost = cost_of(options, (16, 32), record)
    assert (place.height, place.width, place.device) == (16, 32, "cpu")
    assert place.threads == torch.get_num_threads()
    assert cost.parameters > 3e6
    record.write_text(json.dumps(json.loads(record.read_text()) | {"cost": vars(cost) | {"parameters": 7}}))
    assert cost_of(options, (16, 32), record)[1].parameters == 7
    assert cost_of(options, (32, 16), record)[1].parameters == cost.parameters
    assert json.loads(record.read_text())["place"]["height"] == 32
