"""The plain networks of the benchmark against numbers of the published ones, and its frame."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from basicsr.utils.errors import UserError
from basicsr.utils.registry import ARCHS
from tests.sister_parity import distance, fixture, tolerance

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "benchmark"


@pytest.fixture(scope="module")
def references():
    spec = importlib.util.spec_from_file_location("references", FOLDER / "network_references.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def benchmark(load_benchmark):
    """The frame of the benchmark."""
    return load_benchmark("networks")


def check(found, expected, name):
    assert distance(found, expected) <= tolerance(name)


@pytest.mark.data
@torch.no_grad()
@pytest.mark.parametrize("name", ["mimounet", "mimounetplus"])
def test_mimo_unet(references, name):
    _, state, arrays = fixture(name)
    restored = references.mimo_unet(state, arrays["in_x"])
    for key, found in zip(("quarter", "half", "full"), restored, strict=True):
        check(found, arrays[f"out_{key}"], name)


@pytest.mark.data
@torch.no_grad()
def test_msresnet(references):
    _, state, arrays = fixture("msresnet")
    keys = ("fine", "mid", "coarse")
    restored = references.msresnet(state, [arrays[f"in_{key}"] / 255 for key in keys])
    for key, found in zip(keys, restored, strict=True):
        check(255 * found, arrays[f"out_{key}"], "msresnet")


@pytest.mark.data
@torch.no_grad()
def test_srn(references):
    _, state, arrays = fixture("srn_color")
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == references.srn_shapes()
    restored = references.srn(state, arrays["in_x"])
    for key, found in zip(("coarse", "middle", "full"), restored, strict=True):
        check(found, arrays[f"out_{key}"], "srn_color")


@pytest.mark.data
@torch.no_grad()
@pytest.mark.parametrize("name", ["rcdnet", "rcdnet_perturbed"])
def test_rcdnet(references, name):
    _, state, arrays = fixture(name)
    drawn = references.rcdnet_state(4, torch.Generator())
    shapes = {key: value.shape for key, value in drawn.items() if value.is_floating_point()}
    assert {key: value.shape for key, value in state.items()} == shapes
    (first, *others), layers = references.rcdnet(state, arrays["in_x"] / 255)
    check(255 * first, arrays["out_B0"], name)
    for kind, images in (("B", others), ("CM", layers)):
        for number, found in enumerate(images, 1):
            check(255 * found, arrays[f"out_{kind}_{number}"], name)


@pytest.mark.data
@torch.no_grad()
def test_efficient_derain(references):
    _, state, arrays = fixture("efficientderain")
    restored, filtered, core = references.efficient_derain(state, arrays["in_x"])
    check(restored, arrays["out_y"], "efficientderain")
    check(core, arrays["out_core"], "efficientderain")
    for number, found in enumerate(filtered, 1):
        check(found, arrays[f"out_pred{number}"], "efficientderain")


def test_results_that_differ_are_not_compared(benchmark):
    sides = benchmark.CASES["nafnet"].prepare()
    image = benchmark.example(32)
    assert re.fullmatch(
        r"max difference \S+ of the largest value \(≤ 0.0001\)", benchmark.agree(sides, image)
    )
    with torch.no_grad():
        sides.ours.ending.bias += 0.1
    with pytest.raises(UserError, match=r"results differ by .*: nothing to compare"):
        benchmark.agree(sides, image)


def test_weights_are_drawn_so_that_none_hides_what_it_multiplies(benchmark):
    drawn = benchmark.CASES["nafnet"].prepare().ours.state_dict()
    for name, tensor in drawn.items():
        assert (tensor != 0).all(), name
    weight = drawn["encoders.3.0.conv1.weight"]
    assert float(weight.std()) == pytest.approx(weight[0].numel() ** -0.5, rel=0.05)


@pytest.mark.slow
def test_all_networks_agree_with_their_references(benchmark):
    """Those that are registered; 128 is the smallest side of Uformer."""
    image = benchmark.example(128)
    there = [case for case in benchmark.CASES.values() if case.network in ARCHS.names()]
    assert there
    for case in there:
        benchmark.agree(case.prepare(), image)


@pytest.mark.slow
def test_the_whole_command(benchmark, monkeypatch, capsys, tmp_path):
    document = tmp_path / "page.md"
    document.write_text("<!-- networks on cpu: begin -->\n<!-- networks on cpu: end -->\n")
    words = ["--only", "nafnet", "--rounds", "1", "--size", "32", "--write", str(document)]
    monkeypatch.setattr(sys, "argv", [str(FOLDER / "networks.py"), *words])
    benchmark.main()
    rows = [line.split(" | ")[1] for line in document.read_text().splitlines() if line.startswith("| NAFNet")]
    assert rows == ["forward", "training step", "memory of a training step"]
    assert "* Rounds: 1" in capsys.readouterr().out
