from __future__ import annotations

import errno
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from basicsr.config.paths import ExperimentPaths
from basicsr.metrics.base import MetricFacts, facts_of
from basicsr.reporting.curves import draw_curves, panels_of, write_curves
from basicsr.reporting.line_chart import WIDTH, Panel, round_ticks, to_png, to_svg
from basicsr.utils.image import decode_rgb
from basicsr.utils.log import logger, read_events

METRICS = {"ssim": facts_of("calculate_ssim"), "psnr": facts_of("calculate_psnr")}
TEAL = [15, 107, 117]
SVG = "{http://www.w3.org/2000/svg}"


def train(iteration: int, loss: float | None = 1.0, lr: float = 1e-3) -> dict:
    return {"kind": "train", "iter": iteration, "loss": loss, "lr": lr}


def val(iteration: int, psnr: float | None, dataset: str = "Demo") -> dict:
    return {"kind": "val", "iter": iteration, "dataset": dataset, "psnr": psnr}


def write(path: Path, *events: dict | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_of_repeated_iterations_the_later_one_holds(tmp_path):
    """A run is resumed after 100 and has reached 200 again; what it had seen at 300 is not its own."""
    before = [
        train(100, 3.0),
        val(100, 30.0),
        train(200, 2.0),
        val(200, 31.0),
        train(300, 1.0),
        val(300, 32.0),
    ]
    resumed = [train(150, 2.5), train(200, 2.2)]
    events = read_events(write(tmp_path / "events.jsonl", *before, *resumed))
    lines = {panel.title: panel.lines for panel in panels_of(events, METRICS)}
    assert lines["loss"]["loss"] == [(100, 3.0), (150, 2.5), (200, 2.2)]
    assert lines["validation PSNR in dB"]["Demo"] == [(100, 30.0)]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    events = read_events(write(tmp_path / "events.jsonl", train(1), '{"kind": "tra', train(2)))
    assert [event["iter"] for event in events] == [1, 2]


def test_each_validation_set_has_its_line_and_what_is_missing_is_left_out():
    panels = panels_of(
        [train(1, loss=None), val(1, 30.0), val(1, 20.0, "GoPro"), val(2, None), val(2, 21.0, "GoPro")],
        METRICS,
    )
    assert [panel.title for panel in panels] == ["learning rate", "validation PSNR in dB"]
    assert panels[1].lines == {"Demo": [(1, 30.0)], "GoPro": [(1, 20.0), (2, 21.0)]}


def test_the_curve_says_that_it_leaves_out_perfect_images():
    panels = panels_of([val(1, 30.0), val(2, 31.0) | {"psnr_infinite": 1}], METRICS)
    assert [panel.title for panel in panels] == ["validation PSNR in dB, without infinite ones"]
    assert panels[0].lines == {"Demo": [(1, 30.0), (2, 31.0)]}


def test_without_a_headline_the_first_metric_is_drawn():
    events = [{"kind": "val", "iter": 1, "dataset": "Demo", "drift_px": 3.0, "other": 1.0}]
    drift = MetricFacts("Drift", "Drift", better="lower", unit="px")
    (panel,) = panels_of(events, {"drift_px": drift, "other": drift})
    assert panel == Panel("validation Drift px in px", {"Demo": [(1, 3.0)]})
    assert panels_of(events, {}) == []


def test_curves_lie_in_the_experiment(tmp_path):
    paths = ExperimentPaths(tmp_path / "R & D")
    assert write_curves(paths, METRICS) == []
    write(paths.events)
    assert write_curves(paths, METRICS) == [], "no numbers, no curves"
    write(paths.events, *(train(i, 1 / i) for i in range(1, 50)), val(49, 31.0))
    assert write_curves(paths, METRICS) == [paths.root / "curves.svg", paths.root / "curves.png"]
    texts = [text.text for text in ElementTree.parse(paths.root / "curves.svg").iter(f"{SVG}text")]
    assert {"R & D", "loss", "learning rate", "validation PSNR in dB", "iteration"} <= set(texts)


PANELS = [Panel("loss", {"loss": [(0, 0.0), (50, 4.0), (100, 1.0)]})]


def test_svg_and_png_draw_one_geometry():
    svg = ElementTree.fromstring(to_svg(PANELS, "title"))
    picture = decode_rgb(to_png(PANELS, "title", scale=2), "curves")
    assert picture.shape == (2 * int(svg.attrib["height"]), 2 * WIDTH, 3)
    (line,) = [item for item in svg.iter(f"{SVG}polyline") if item.attrib["stroke"] == "#0f6b75"]
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(points) == 3
    for x, y in points[1:2]:
        around = picture[round(2 * y) : round(2 * y) + 8, round(2 * x) - 3 : round(2 * x) + 4].reshape(-1, 3)
        assert np.abs(around.astype(int) - TEAL).max(1).min() == 0
    assert (np.abs(picture.astype(int) - TEAL).max(2) == 0).sum() > 1000
    (low, high) = (points[0][1], points[1][1])
    assert high < low and points[2][1] == pytest.approx(low + (high - low) / 4, abs=0.2)


def test_long_runs_stay_small_and_keep_their_peaks():
    line = [(float(i), 1.0) for i in range(200_000)]
    line[123_456] = (123_456.0, 100.0)
    svg = to_svg([Panel("loss", {"loss": line})], "title")
    assert len(svg) < 100_000
    (drawn,) = [
        item
        for item in ElementTree.fromstring(svg).iter(f"{SVG}polyline")
        if item.attrib["stroke"] == "#0f6b75"
    ]
    heights = [float(pair.split(",")[1]) for pair in drawn.attrib["points"].split()]
    assert max(heights) - min(heights) > 150


@pytest.mark.parametrize("points", [[(5, 2.0)], [(1, 0.0), (2, 0.0)], [(1, -3.0), (2, -3.0)]])
def test_lines_without_a_range(points: list[tuple[float, float]]):
    panels = [Panel("loss", {"loss": points})]
    assert "nan" not in to_svg(panels, "title").lower()
    assert decode_rgb(to_png(panels, "title"), "curves").min() < 120


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_and_inside(low: float, span: float):
    high = low + span
    assume(span > 1e-9 * abs(low))
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    slack = 1e-6 * span + 1e-11
    assert low - slack <= ticks[0] and ticks[-1] <= high + slack
    steps = np.diff(ticks)
    assert steps == pytest.approx(steps[0], rel=1e-3, abs=1e-11)
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-4)
    assert min(abs(mantissa - factor) for factor in (1, 2, 5)) < 1e-2


def test_curves_that_cannot_be_written_end_no_run(tmp_path, monkeypatch, caplog):
    paths = ExperimentPaths(tmp_path)
    write(paths.events, train(1), train(2))

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("basicsr.reporting.curves.write_bytes", full)
    logger().propagate = True
    draw_curves(paths, {})
    assert caplog.messages == [f"{paths.curves('svg')}: No space left on device; the curves are not drawn"]
