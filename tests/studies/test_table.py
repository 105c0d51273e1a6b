"""The table of rows from ``metrics.json`` files with made numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from basicsr.metrics.base import facts_of
from basicsr.studies.table import Budget, read_table, to_json, to_markdown
from basicsr.utils.errors import UserError

ROWS = {"NAFNet": "w/o SAM", "SegNAFNet": "Ours"}
BUDGET = Budget(1200, 8, 96)
METRICS = {
    name: facts_of(f"calculate_{name}") for name in ("psnr", "ssim", "mcr", "input_psnr", "input_ssim")
}
BEFORE = {"input_psnr": 25.0, "input_ssim": 0.75}
PSNR = {"NAFNet": [30.0, 31.0, 32.6], "SegNAFNet": [31.0, 31.5, 31.0]}
MCR = {"NAFNet": [0.02, 0.0, 0.04], "SegNAFNet": [0.0, 0.0, 0.0]}
Means = dict[str, dict[str, float | None]]


def write(path: Path, sets: Means) -> Path:
    """Two images a set, both with the values of the mean."""
    content = {
        name: {"mean": mean, "images": [{"key": key, **mean} for key in "ab"]} for name, mean in sets.items()
    }
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def results(tmp_path) -> dict[str, list[Path]]:
    """Two rows with three seeds; in the set B all is alike."""
    files: dict[str, list[Path]] = {}
    for row, values in PSNR.items():
        for seed, psnr in enumerate(values):
            a = {"psnr": psnr, "ssim": 0.8 + seed / 100, "mcr": MCR[row][seed], **BEFORE}
            b = {"psnr": 40.0, "ssim": 0.9, "mcr": 0.5, **BEFORE}
            path = write(tmp_path / f"{row}-{seed}/metrics.json", {"A": a, "B": b})
            files.setdefault(row, []).append(path)
    return files


def test_mean_and_sample_standard_deviation_over_the_seeds(results):
    table = read_table(results, [0, 1, 2], BUDGET, METRICS)
    for row, values in PSNR.items():
        psnr = table.rows[row]["A"]["psnr"]
        mean = sum(values) / 3
        assert psnr.values == values
        assert psnr.mean == pytest.approx(mean)
        assert psnr.deviation == pytest.approx(math.sqrt(sum((value - mean) ** 2 for value in values) / 2))
        assert table.rows[row]["B"]["psnr"].deviation == 0


def test_the_input_has_its_own_values_and_no_collapse(results):
    table = read_table(results, [0, 1, 2], BUDGET, METRICS)
    assert table.input == {name: {"psnr": 25.0, "ssim": 0.75, "mcr": 0.0} for name in "AB"}


def test_the_table_for_people(results):
    text = to_markdown(read_table(results, [0, 1, 2], BUDGET, METRICS), ROWS, METRICS)
    same = "40.00 ± 0.00 / 0.9000 ± 0.0000 / 50.00 ± 0.00 %"
    assert text.splitlines() == [
        "| PSNR / SSIM / MCR | A | B |",
        "| --- | --- | --- |",
        "| input | 25.00 / 0.7500 / 0.00 % | 25.00 / 0.7500 / 0.00 % |",
        f"| w/o SAM | 31.20 ± 1.31 / 0.8100 ± 0.0100 / 2.00 ± 2.00 % | {same} |",
        f"| Ours | 31.17 ± 0.29 / 0.8100 ± 0.0100 / 0.00 ± 0.00 % | {same} |",
        "",
        "Mean ± sample standard deviation over 3 trainings (seeds 0, 1, 2), "
        "each of 1,200 iterations of 8 crops of 96x96 pixels; PSNR in dB.",
    ]


def test_one_seed_has_no_deviation(results):
    table = read_table({row: paths[1:2] for row, paths in results.items()}, [1], BUDGET, METRICS)
    lines = to_markdown(table, ROWS, METRICS).splitlines()
    assert "| w/o SAM | 31.00 / 0.8100 / 0.00 % | 40.00 / 0.9000 / 50.00 % |" in lines
    assert lines[-1].startswith("One training (seed 1)")
    assert table.rows["NAFNet"]["A"]["psnr"].deviation is None


def test_the_json_holds_every_number(results):
    table = json.loads(to_json(read_table(results, [0, 1, 2], BUDGET, METRICS)))
    assert table["seeds"] == [0, 1, 2] and table["budget"] == {"iterations": 1200, "crops": 8, "side": 96}
    assert table["input"]["A"] == {"psnr": 25.0, "ssim": 0.75, "mcr": 0.0}
    assert table["rows"]["NAFNet"]["A"]["mcr"]["values"] == MCR["NAFNet"]
    assert table["rows"]["NAFNet"]["A"]["mcr"]["mean"] == pytest.approx(0.02)


def test_what_was_not_measured_or_is_infinite_is_left_open(tmp_path):
    means: list[dict[str, float | None]] = [{"psnr": 30.0, "ssim": 0.8}, {"psnr": None, "ssim": 0.9}]
    paths = [write(tmp_path / f"{seed}/metrics.json", {"A": mean}) for seed, mean in enumerate(means)]
    text = to_markdown(read_table({"NAFNet": paths}, [0, 1], BUDGET, METRICS), ROWS, METRICS)
    assert text.splitlines()[2:4] == ["| input | – / – / 0.00 % |", "| w/o SAM | – / 0.8500 ± 0.0707 / – |"]


def test_what_the_means_leave_out_stands_below_the_table(results):
    path = results["SegNAFNet"][2]
    content = json.loads(path.read_text())
    content["A"]["left_out"] = {"psnr": {"infinite": 2}}
    path.write_text(json.dumps(content))
    table = read_table(results, [0, 1, 7], BUDGET, METRICS)
    text = to_markdown(table, ROWS, METRICS)
    assert text.endswith("dB.\n\nOurs, A, seed 7: the mean of psnr leaves out 2 infinite value(s).\n")
    (noted,) = json.loads(to_json(table))["left_out"]
    assert noted == {
        "row": "SegNAFNet", "seed": 7, "set": "A", "metric": "psnr", "what": "infinite", "count": 2,
    }  # fmt: skip


def test_tests_that_do_not_compare_are_one_line(results, tmp_path):
    def message(sets: Means, folder: str) -> str:
        other = write(tmp_path / folder / "metrics.json", sets)
        with pytest.raises(UserError) as caught:
            read_table({**results, "MaskNAFNet": [other]}, [0], BUDGET, METRICS)
        assert "\n" not in str(caught.value) and f"{folder}/metrics.json" in str(caught.value)
        return str(caught.value)

    assert "lacks the set B" in message({"A": BEFORE}, "lacking")
    more = message({"A": BEFORE, "B": BEFORE, "C": BEFORE}, "more")
    assert "NAFNet-0/metrics.json: lacks the set C" in more
    moved = message({"A": {**BEFORE, "input_psnr": 20.0}, "B": BEFORE}, "moved")
    assert "A has other images" in moved


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"A": {}}', '{"A": 3}'])
def test_a_file_that_is_not_the_metrics_of_a_test_is_named(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"metrics.json: not the metrics of a test"):
        read_table({"NAFNet": [path]}, [0], BUDGET, METRICS)


def test_a_study_chooses_metrics_and_may_do_without_the_input(results):
    chosen = {"ssim": METRICS["ssim"], "lpips": facts_of("LPIPS")}
    table = read_table(results, [0, 1, 2], BUDGET, chosen, reference=None)
    assert to_markdown(table, ROWS, chosen).splitlines()[:3] == [
        "| SSIM / LPIPS | A | B |",
        "| --- | --- | --- |",
        "| w/o SAM | 0.8100 ± 0.0100 / – | 0.9000 ± 0.0000 / – |",
    ]
    assert "dB" not in to_markdown(table, ROWS, chosen) and table.input == {}


def test_rows_with_budgets_of_their_own_are_told_with_them(results):
    budgets = {"NAFNet": BUDGET, "SegNAFNet": Budget(600, 8, None)}
    table = read_table(results, [0, 1, 2], budgets, METRICS)
    assert to_markdown(table, ROWS, METRICS).splitlines()[-1] == (
        "Mean ± sample standard deviation over 3 trainings (seeds 0, 1, 2), "
        "w/o SAM of 1,200 iterations of 8 crops of 96x96 pixels, Ours of 600 iterations of 8 whole images; "
        "PSNR in dB."
    )
    assert json.loads(to_json(table))["budget"]["SegNAFNet"] == {"iterations": 600, "crops": 8, "side": None}
