"""The table of rows from ``metrics.json`` files with made numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from basicsr.metrics.base import facts_of
from basicsr.studies.cost import Cost, Place
from basicsr.studies.table import Budget, Setup, read_table, to_json, to_markdown
from basicsr.utils.errors import UserError

ROWS = {"NAFNet": "w/o SAM", "SegNAFNet": "Ours"}
BUDGET = Budget(1200, 8, 96)
SETUP = Setup([0, 1, 2], BUDGET)
METRICS = {
    name: facts_of(f"calculate_{name}") for name in ("psnr", "ssim", "mcr", "input_psnr", "input_ssim")
}
BEFORE = {"input_psnr": 25.0, "input_ssim": 0.75}
PSNR = {"NAFNet": [30.0, 31.0, 32.6], "SegNAFNet": [31.0, 31.5, 31.0]}
MCR = {"NAFNet": [0.02, 0.0, 0.04], "SegNAFNet": [0.0, 0.0, 0.0]}
Means = dict[str, dict[str, float | None]]
Files = dict[str, list[list[Path]]]


def write(path: Path, sets: Means) -> Path:
    """Two images a set, both with the values of the mean."""
    content = {
        name: {"mean": mean, "images": [{"key": key, **mean} for key in "ab"]} for name, mean in sets.items()
    }
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def results(tmp_path) -> Files:
    """Two rows with three seeds; in the set B all is alike."""
    files: Files = {}
    for row, values in PSNR.items():
        for seed, psnr in enumerate(values):
            a = {"psnr": psnr, "ssim": 0.8 + seed / 100, "mcr": MCR[row][seed], **BEFORE}
            b = {"psnr": 40.0, "ssim": 0.9, "mcr": 0.5, **BEFORE}
            path = write(tmp_path / f"{row}-{seed}/metrics.json", {"A": a, "B": b})
            files.setdefault(row, []).append([path])
    return files


def test_mean_and_sample_standard_deviation_over_the_seeds(results):
    table = read_table(results, SETUP, METRICS)
    for row, values in PSNR.items():
        psnr = table.rows[row]["A"]["psnr"]
        mean = sum(values) / 3
        assert psnr.values == values
        assert psnr.mean == pytest.approx(mean)
        assert psnr.deviation == pytest.approx(math.sqrt(sum((value - mean) ** 2 for value in values) / 2))
        assert table.rows[row]["B"]["psnr"].deviation == 0


def test_the_input_has_its_own_values_and_no_collapse(results):
    table = read_table(results, SETUP, METRICS)
    assert table.input == {name: {"psnr": 25.0, "ssim": 0.75, "mcr": 0.0} for name in "AB"}


def test_the_table_for_people(results):
    text = to_markdown(read_table(results, SETUP, METRICS), ROWS, METRICS)
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
    table = read_table({row: paths[1:2] for row, paths in results.items()}, Setup([1], BUDGET), METRICS)
    lines = to_markdown(table, ROWS, METRICS).splitlines()
    assert "| w/o SAM | 31.00 / 0.8100 / 0.00 % | 40.00 / 0.9000 / 50.00 % |" in lines
    assert lines[-1].startswith("One training (seed 1)")
    assert table.rows["NAFNet"]["A"]["psnr"].deviation is None


def test_the_json_holds_every_number(results):
    table = json.loads(to_json(read_table(results, SETUP, METRICS)))
    assert table["seeds"] == [0, 1, 2] and table["budget"] == {"iterations": 1200, "crops": 8, "side": 96}
    assert table["input"]["A"] == {"psnr": 25.0, "ssim": 0.75, "mcr": 0.0}
    assert table["rows"]["NAFNet"]["A"]["mcr"]["values"] == MCR["NAFNet"]
    assert table["rows"]["NAFNet"]["A"]["mcr"]["mean"] == pytest.approx(0.02)


def test_what_was_not_measured_or_is_infinite_is_left_open(tmp_path):
    means: list[dict[str, float | None]] = [{"psnr": 30.0, "ssim": 0.8}, {"psnr": None, "ssim": 0.9}]
    paths = [write(tmp_path / f"{seed}/metrics.json", {"A": mean}) for seed, mean in enumerate(means)]
    text = to_markdown(
        read_table({"NAFNet": [[path] for path in paths]}, Setup([0, 1], BUDGET), METRICS), ROWS, METRICS
    )
    assert text.splitlines()[2:4] == ["| input | – / – / 0.00 % |", "| w/o SAM | – / 0.8500 ± 0.0707 / – |"]


def test_what_the_means_leave_out_stands_below_the_table(results):
    (path,) = results["SegNAFNet"][2]
    content = json.loads(path.read_text())
    content["A"]["left_out"] = {"psnr": {"infinite": 2}}
    path.write_text(json.dumps(content))
    table = read_table(results, Setup([0, 1, 7], BUDGET), METRICS)
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
            read_table({**results, "MaskNAFNet": [[other]]}, SETUP, METRICS)
        assert "\n" not in str(caught.value) and f"{folder}/metrics.json" in str(caught.value)
        return str(caught.value)

    assert "lacks the set B" in message({"A": BEFORE}, "lacking")
    more = message({"A": BEFORE, "B": BEFORE, "C": BEFORE}, "more")
    assert "NAFNet-0/metrics.json: lacks the set C" in more
    moved = message({"A": {**BEFORE, "input_psnr": 20.0}, "B": BEFORE}, "moved")
    assert "A has other images" in moved
    # Sums in another order, as another machine or version has them, are no other images.
    rounded = {**BEFORE, "input_psnr": BEFORE["input_psnr"] * (1 + 1e-12)}
    same = write(tmp_path / "rounded" / "metrics.json", {"A": rounded, "B": BEFORE})
    read_table({**results, "MaskNAFNet": [[same]] * 3}, SETUP, METRICS)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"A": {}}', '{"A": 3}'])
def test_a_file_that_is_not_the_metrics_of_a_test_is_named(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"metrics.json: not the metrics of a test"):
        read_table({"NAFNet": [[path]]}, Setup([0], BUDGET), METRICS)


def test_a_study_chooses_metrics_and_may_do_without_the_input(results):
    chosen = {"ssim": METRICS["ssim"], "lpips": facts_of("LPIPS")}
    table = read_table(results, SETUP, chosen, reference=None)
    assert to_markdown(table, ROWS, chosen).splitlines()[:3] == [
        "| SSIM / LPIPS | A | B |",
        "| --- | --- | --- |",
        "| w/o SAM | 0.8100 ± 0.0100 / – | 0.9000 ± 0.0000 / – |",
    ]
    assert "dB" not in to_markdown(table, ROWS, chosen) and table.input == {}


def test_rows_with_budgets_of_their_own_are_told_with_them(results):
    budgets = {"NAFNet": BUDGET, "SegNAFNet": Budget(600, 8, None)}
    table = read_table(results, Setup([0, 1, 2], budgets), METRICS)
    assert to_markdown(table, ROWS, METRICS).splitlines()[-1] == (
        "Mean ± sample standard deviation over 3 trainings (seeds 0, 1, 2), "
        "w/o SAM of 1,200 iterations of 8 crops of 96x96 pixels, Ours of 600 iterations of 8 whole images; "
        "PSNR in dB."
    )
    assert json.loads(to_json(table))["budget"]["SegNAFNet"] == {"iterations": 600, "crops": 8, "side": None}


def test_cost_stands_in_front_of_the_metrics(results):
    place = Place(256, 128, "cpu", 2)
    costs = {"NAFNet": Cost(3_400_000, 34_567.8, 0.01234), "SegNAFNet": Cost(12_000, 0.5, 12_345.6)}
    table = read_table(results, Setup([0, 1, 2], BUDGET, place=place, costs=costs), METRICS)
    lines = to_markdown(table, ROWS, METRICS).splitlines()
    assert lines[0] == "| PSNR / SSIM / MCR | parameters (M) | GMACs/MP | s/MP | A | B |"
    assert lines[1].count("---") == 6
    assert lines[2].startswith("| input | – | – | – | 25.00 / ")
    assert lines[3].startswith("| w/o SAM | 3.40 | 34.6 | 0.0123 | 31.20 ± ")
    assert lines[4].startswith("| Ours | 0.0120 | 0.000500 | 12,346 | 31.17 ± ")
    assert lines[-1].endswith("; cost for one image of 128x256 pixels on 2 threads of the CPU; PSNR in dB.")
    numbers = json.loads(to_json(table))
    assert numbers["place"] == {"height": 256, "width": 128, "device": "cpu", "threads": 2}
    assert numbers["costs"]["NAFNet"]["macs_per_pixel"] == 34_567.8


def test_a_row_with_weights_has_one_value_and_no_seed(results, tmp_path):
    content = {"A": {"psnr": 33.0, "ssim": 0.9, "mcr": 0.0, **BEFORE}}
    given = [write(tmp_path / "given/metrics.json", content)]
    files = {"NAFNet": results["NAFNet"][:2], "Given": [given]}
    for paths in files["NAFNet"]:
        for path in paths:
            path.write_text(json.dumps({"A": json.loads(path.read_text())["A"]}))
    noted = json.loads(given[0].read_text())
    noted["A"]["left_out"] = {"psnr": {"infinite": 1}}
    given[0].write_text(json.dumps(noted))
    setup = Setup([0, 1], BUDGET, minutes=2.5, weights={"Given": "NAFNet"})
    text = to_markdown(read_table(files, setup, METRICS), {**ROWS, "Given": "published"}, METRICS)
    lines = text.splitlines()
    assert lines[4] == "| published | 33.00 / 0.9000 / 0.00 % |"
    assert lines[-3] == (
        "Mean ± sample standard deviation over 2 trainings (seeds 0, 1) of 2.5 min, "
        "each of 1,200 iterations of 8 crops of 96x96 pixels; published with the weights NAFNet; PSNR in dB."
    )
    assert lines[-1] == "published, A: the mean of psnr leaves out 1 infinite value(s)."
    alone = read_table({"Given": [given]}, Setup([], {}, weights={"Given": "NAFNet"}), METRICS)
    told = to_markdown(alone, {"Given": "published"}, METRICS)
    assert "published with the weights NAFNet; PSNR in dB.\n" in told and "training" not in told


def test_sets_of_several_test_files_stand_side_by_side(tmp_path):
    means: Means = {"C": {"psnr": 40.0, "ssim": 0.9, "mcr": 0.5, **BEFORE}}
    files: Files = {}
    for row, psnr in (("NAFNet", 30.0), ("SegNAFNet", 31.0)):
        first = write(tmp_path / f"{row}/metrics.json", {"A": {"psnr": psnr, **BEFORE}})
        files[row] = [[first, write(tmp_path / f"{row}-test2/metrics.json", means)]]
    table = read_table(files, Setup([0], BUDGET), METRICS)
    assert list(table.input) == list(table.rows["NAFNet"]) == ["A", "C"]
    assert [table.rows[row]["A"]["psnr"].values for row in ROWS] == [[30.0], [31.0]]
    files["SegNAFNet"][0].pop()
    with pytest.raises(UserError, match=r"SegNAFNet/metrics.json: lacks the set C of .*NAFNet-test2/metrics"):
        read_table(files, Setup([0], BUDGET), METRICS)
