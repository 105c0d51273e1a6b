"""The benchmark of distillation compares what is equal, and nothing else."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from basicsr.losses.semantic_relation import region_relations
from basicsr.utils.errors import UserError


@pytest.fixture
def benchmark(benchmark_module):
    return benchmark_module("distillation")


@pytest.mark.parametrize("layer", ["relu1_2", "relu3_4"])
def test_relations_by_planes_are_those_by_label_maps(benchmark, layer: str):
    assert re.fullmatch(r"max difference \S+ of .*", benchmark.prepare(layer, 2, 32, 6).agree())


def test_relations_by_planes_are_distances_of_means(benchmark_module):
    """Two regions of one column each, and a column of the rest."""
    features = torch.tensor([[[[1.0, 5.0, 100.0]] * 2, [[0.0, 3.0, 100.0]] * 2]])
    ranks = torch.tensor([[[0, 1, 2]] * 2])
    found = benchmark_module("references").dense_region_relations(features, ranks, 2)
    torch.testing.assert_close(found, torch.tensor([[[0.0, 5.0], [5.0, 0.0]]]), rtol=1e-6, atol=1.1e-3)
    torch.testing.assert_close(found, region_relations(features, ranks, 2)[0])


def test_networks_that_restore_otherwise_are_not_compared(benchmark):
    pair = benchmark.prepare("nafnet", 1, 16, 4)
    assert pair.agree() == "images of f1 are equal"
    with torch.no_grad():
        pair.ours.args[0].network("g").ending.bias += 0.1
    with pytest.raises(UserError, match="NAFNet: the images of f1 differ: nothing to compare"):
        pair.agree()


@pytest.mark.slow
def test_all_cases_agree(benchmark):
    for name in (*benchmark.NETWORKS, *benchmark.FEATURES):
        pair = benchmark.prepare(name, 1, 32, 4)
        pair.agree()
        pair.ours()
        pair.reference()


@pytest.mark.slow
def test_the_whole_command(benchmark, monkeypatch, capsys, tmp_path):
    document = tmp_path / "page.md"
    document.write_text("<!-- distillation on cpu: begin -->\n<!-- distillation on cpu: end -->\n")
    words = ["--only", "nafnet", "relu3_4", "--rounds", "1", "--size", "32", "--batch", "1", "--regions", "4"]
    monkeypatch.setattr(sys, "argv", [benchmark.__file__, *words, "--write", str(document)])
    benchmark.main()
    rows = [line.split(" | ")[1] for line in document.read_text().splitlines() if " / " in line]
    assert rows == ["what", "time", "memory", "time", "memory"]
    assert "* 1 crops of 32x32 pixels, 4 regions each" in capsys.readouterr().out
