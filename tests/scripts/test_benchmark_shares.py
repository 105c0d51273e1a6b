"""Shares of the time by kind of operation."""

from __future__ import annotations

import pytest


@pytest.fixture
def benchmark(benchmark_module):
    return benchmark_module("shares")


@pytest.mark.parametrize(("operation", "kind"), [
    ("aten::mkldnn_convolution", "convolutions"),
    ("aten::convolution_backward", "convolutions, backward"),
    ("aten::native_layer_norm_backward", "LayerNorm2d"),
    ("aten::addcmul", "products and sums of elements"),
    ("aten::_fused_adamw_", "optimizer"),
    ("autograd::engine::evaluate_function: MulBackward0", "others, and PyTorch itself"),
])  # fmt: skip
def test_each_operation_counts_once(benchmark, operation: str, kind: str):
    times = benchmark.by_kind({operation: 2.0, "aten::unknown": 1.0})
    assert times[kind] >= 2 and times.total() == 3


def test_the_whole_command(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "COLUMNS", {"step_ours": "training step"})
    monkeypatch.setitem(benchmark.SHAPE, "enc_blk_nums", [1])
    monkeypatch.setitem(benchmark.SHAPE, "dec_blk_nums", [1])
    document = tmp_path / "benchmarks.md"
    document.write_text("<!-- shares on cpu: begin -->\n<!-- shares on cpu: end -->\n")
    monkeypatch.setattr("sys.argv", [str(benchmark.__file__), "--rounds", "1", "--write", str(document)])
    benchmark.main()
    lines = document.read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")][2:-1]
    assert sum(float(share.rstrip("%")) for _, share in rows) == pytest.approx(100, abs=0.05 * len(rows))
    assert float(dict(rows)["convolutions, backward"].rstrip("%")) > 0
