"""Results as files and as a table."""

from __future__ import annotations

import csv
import json

import pytest

from basicsr.config.paths import ResultPaths
from basicsr.engine.evaluator import Evaluation
from basicsr.engine.report import table, write_results
from basicsr.metrics.base import Frames, Metric, MetricFacts


def evaluation(name: str, **rows: dict) -> Evaluation:
    plain = Metric(lambda restored: 0.0, MetricFacts("Plain", "Plain", "higher"))
    metrics = {metric: plain for row in rows.values() for metric in row}
    return Evaluation.of(name, list(rows), list(rows.values()), metrics)


FIRST = evaluation("first", a={"psnr": 30.0, "ssim": 0.5}, b={"psnr": 31.0, "ssim": 1.0})
SECOND = evaluation("second set", c={"psnr": float("inf"), "lpips": 0.25})


def test_files_hold_a_row_of_each_image(tmp_path):
    paths = ResultPaths(tmp_path)
    write_results(paths, [FIRST, SECOND])
    content = json.loads(paths.metrics_json.read_text())
    assert content["first"] == {"mean": {"psnr": 30.5, "ssim": 0.75}, "left_out": {}, "images": FIRST.rows}
    assert content["second set"]["mean"] == {"psnr": None, "lpips": 0.25}, "JSON knows no infinity"
    assert content["second set"]["left_out"] == {"psnr": {"infinite": 1}}
    with paths.metrics_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"dataset", "key", "psnr", "ssim", "lpips"}
    assert [(row["dataset"], row["key"], row["ssim"]) for row in rows] == [
        ("first", "a", "0.5"),
        ("first", "b", "1.0"),
        ("second set", "c", ""),
    ]


def test_clips_have_a_list_with_a_number_a_frame_and_each_frame_counts(tmp_path):
    clips = {"a": {"psnr": Frames([30.0, 31.0, float("inf")])}, "b": {"psnr": Frames([32.0])}}
    paths = ResultPaths(tmp_path)
    write_results(paths, [evaluation("clips", **clips)])
    assert json.loads(paths.metrics_json.read_text())["clips"] == {
        "mean": {"psnr": 31.0},
        "left_out": {"psnr": {"infinite": 1}},
        "images": [{"key": "a", "psnr": [30.0, 31.0, None]}, {"key": "b", "psnr": [32.0]}],
    }
    with paths.metrics_csv.open(newline="") as file:
        assert [row["psnr"] for row in csv.DictReader(file)] == ["[30.0, 31.0, inf]", "[32.0]"]


def test_a_table_has_a_line_of_each_data_set_with_numbers_below_each_other():
    head, rule, first, second = table([FIRST, SECOND]).split("\n")
    assert rule == "-" * len(head) and len(first) == len(second) == len(head)
    assert head.split() == ["dataset", "images", "psnr", "ssim", "lpips"]
    assert first.split() == ["first", "2", "30.5000", "0.7500"]
    assert second.split() == ["second", "set", "1", "inf", "(1", "infinite)", "0.2500"]
    for name in ("images", "psnr", "ssim"):
        end = head.index(name) + len(name)
        assert first[end - 1].isdigit() and (first + " ")[end] == " "


@pytest.mark.parametrize("count", [0, 1])
def test_a_table_of_little_is_one(count: int):
    assert len(table([FIRST][:count]).split("\n")) == 2 + count
