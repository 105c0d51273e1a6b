"""Facts survive a file, and those that cannot be are refused."""

from __future__ import annotations

import json

import pytest

from basicsr.layers.normalization import Normalization
from basicsr.layers.weights_facts import WeightsFacts

ALL = WeightsFacts(
    padding="zeros",
    mask_value=1 / 255,
    normalization=Normalization((0.5, 0.4, 0.3), (0.5, 0.5, 0.25)),
    shift_bottleneck=False,
)


@pytest.mark.parametrize("facts", [WeightsFacts(), WeightsFacts(padding="edge"), ALL])
def test_plain_values_and_back(facts: WeightsFacts):
    assert WeightsFacts.from_builtins(json.loads(json.dumps(facts.to_builtins()))) == facts


def test_what_is_not_said_is_not_stored():
    assert WeightsFacts(padding="edge").to_builtins() == {"padding": "edge"}


def test_facts_are_told_in_words_and_what_is_not_said_is_not_told():
    assert str(WeightsFacts()) == ""
    assert str(WeightsFacts(padding="edge")) == "padding edge"
    assert str(WeightsFacts(mask_value=1 / 255)) == "mask value 0.00392157"
    assert str(ALL) == f"padding zeros, mask value 0.00392157, {ALL.normalization}, bottleneck not shifted"


def test_facts_of_earlier_versions_are_read():
    assert WeightsFacts.from_builtins({"mask_value": 1}) == WeightsFacts(mask_value=1.0)


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        ({"padding": "mirror"}, "mirror"),
        ({"padding": 3}, "padding"),
        ({"mask_value": "strong"}, "mask_value"),
        ({"mask_value": 0}, "mask_value"),
        ({"mask_value": 2.0}, "mask_value"),
        ({"frames": 5}, "frames"),
        ({"normalization": {"mean": [0.5]}}, "std"),
        ({"normalization": {"mean": [0.5], "std": [0.0]}}, "positive"),
    ],
)
def test_damaged_and_unknown_facts(stored: dict, what: str):
    with pytest.raises(ValueError, match=what):
        WeightsFacts.from_builtins(stored)
