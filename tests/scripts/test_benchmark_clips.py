"""The plain networks of clips: published numbers, and that ours give the same; the command."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sister_parity import FOLDER as PARITY
from tests.sister_parity import distance, fixture, tolerance

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "benchmark"
NETWORKS = ["jin", "purohit", "ordering"]


@pytest.fixture
def benchmark(benchmark_module):
    return benchmark_module("clips")


@pytest.fixture
def references(benchmark_module):
    return benchmark_module("clip_references")


@pytest.mark.slow
@pytest.mark.data
@torch.no_grad()
def test_jin_gives_the_published_frames(references):
    parts = {"f4": "jin_center", "f35": "jin_f35", "f26": "jin_f26", "f17": "jin_f17"}
    state = {
        f"{net}.{name}": tensor for net, file in parts.items() for name, tensor in fixture(file)[1].items()
    }
    with np.load(PARITY / "jin_chain.npz") as arrays:
        photo, frames = (torch.from_numpy(arrays[name]) for name in ("in_blur", "out_frames"))
    assert distance(references.jin(state, photo), frames) < tolerance("jin_chain")


def test_warping_by_whole_pixels_repeats_the_border(references):
    image = torch.rand(1, 3, 6, 9)
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 6, 9)
    rows, columns = (torch.arange(6) - 1).clamp(0), (torch.arange(9) + 2).clamp(max=8)
    assert torch.equal(references.warped(image, flow), image[..., rows, :][..., columns])


@pytest.mark.parametrize("name", NETWORKS)
def test_ours_give_the_same_frames_and_gradients(benchmark, name: str):
    """In float64, where another order of operations hides no mistake."""
    case = benchmark.cases("tiny")[name]
    sides, x = case.prepare(), case.example(40).double()
    results = []
    for net in (sides.ours, sides.reference):
        known = x.clone().requires_grad_()
        result = net.double()(known)
        result.square().mean().backward()
        results.append((result.detach(), known.grad))
    for ours, reference in zip(*results, strict=True):
        assert (ours - reference).abs().max() <= 1e-9 * reference.abs().max()


def test_clips_of_other_lengths_are_what_is_measured(benchmark):
    for name, make in benchmark.lengths("tiny").items():
        net, x = make(5, 40)
        with torch.no_grad():
            assert net(x).shape[1] == {"jin": 7, "purohit": 5, "ordering": 2}[name]


def test_a_size_that_plain_formulations_do_not_take_is_refused(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["clips.py", "--side", "50"])
    with pytest.raises(SystemExit, match="2"):
        benchmark.main()
    assert "--side takes multiples of 40, not 50" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_command(benchmark, monkeypatch, tmp_path):
    document = tmp_path / "page.md"
    tables = ("compared", "memory", "photo")
    markers = [f"<!-- clips on cpu, {name}: {end} -->\n" for name in tables for end in ("begin", "end")]
    document.write_text("".join(markers))
    words = "--networks jin --network_size tiny --side 40 --photo 40 60 --rounds 1"
    monkeypatch.setattr(sys, "argv", [str(FOLDER / "clips.py"), *words.split(), "--write", str(document)])
    benchmark.main()
    text = document.read_text()
    assert [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| Jin")] == [
        "forward", "training step", "memory of a training step",
    ]  # fmt: skip
    assert "| jin, tiny | 7 | 40x40 |" in text and "| jin, tiny | 7 | 80x80 |" in text
    assert "| 60x40 | none |" in text
