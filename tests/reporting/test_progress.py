"""The view of a run that goes on: what it reads, its charts of characters, its page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from basicsr.commands.watch import main
from basicsr.config.paths import ExperimentPaths
from basicsr.reporting.line_chart import Panel
from basicsr.reporting.progress import read_progress, to_text
from basicsr.reporting.progress_page import write_progress_page
from basicsr.reporting.terminal_chart import draw
from basicsr.utils.errors import UserError

CONFIG = """
name: Mine
train: {total_iter: 200}
val: {metrics: {psnr: {type: calculate_psnr}, odd: {type: of_a_plugin}}}
"""


def event(kind: str, iteration: int, **values: object) -> dict[str, object]:
    return {"kind": kind, "iter": iteration, "time": 1000.0 + iteration, **values}


def train(iteration: int, loss: float) -> dict[str, object]:
    times = {"step_seconds": 0.5, "data_seconds": 0.01, "eta_seconds": 3661.0}
    return event("train", iteration, epoch=0, loss=loss, l_pix=loss, lr=1e-3, skipped_steps=0, **times)


def run_of(folder: Path, *events: dict[str, object]) -> ExperimentPaths:
    paths = ExperimentPaths(folder / "Mine")
    paths.root.mkdir()
    paths.config(0).write_text(CONFIG)
    paths.events.write_text("".join(json.dumps(item) + "\n" for item in events))
    return paths


@pytest.fixture
def paths(tmp_path: Path) -> ExperimentPaths:
    paths = run_of(
        tmp_path,
        train(50, 0.25),
        event("val", 50, dataset="Set", psnr=30.0, odd=1.0),
        train(100, 0.125),
        event("val", 100, dataset="Set", psnr=31.5, odd=None),
    )
    for name in ("a_50.png", "a_100.png", "b #_100.png"):
        (paths.visualization / "Set" / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.visualization / "Set" / name).write_bytes(b"")
    return paths


def dots(lines: list[str]) -> list[str]:
    return [line.split("|", 1)[1] for line in lines if "|" in line]


def test_a_rising_line_goes_from_the_lower_left_corner_to_the_upper_right_one():
    lines = draw(Panel("loss", {"loss": [(0, 0.0), (100, 5.0)]}), width=40, height=4, plain=True)
    rows = dots(lines)
    assert lines[0] == "loss" and len(rows) == 4 and max(map(len, lines)) == 40
    assert rows[-1][0] == "*" and rows[0][-1] == "*"
    firsts = [row.index("*") for row in rows]
    assert firsts == sorted(firsts, reverse=True)
    assert all(any(row[column] == "*" for row in rows) for column in range(len(rows[0])))
    assert lines[1].split()[0] == "5" and lines[4].split()[0] == "0"
    assert lines[5].split() == ["0", "100"]


def test_dots_of_braille_lie_where_the_stars_are():
    panel = Panel("PSNR", {"one": [(0, 1.0), (10, 3.0), (20, 2.0)], "two": [(5, 1.5)]})
    plain = draw(panel, 50, 6, plain=True)
    braille = draw(panel, 50, 6)
    for star, dot in zip(dots(plain), (line.split("│", 1)[1] for line in braille[1:-1]), strict=True):
        assert [cell == "*" for cell in star] == [cell != "\u2800" for cell in dot]
    assert braille[0] == "PSNR (one, two)"


@pytest.mark.parametrize("points", [[(7, 2.0)], [(1, 2.0), (9, 2.0)]])
def test_constant_lines_are_drawn(points):
    assert "*" in "".join(dots(draw(Panel("lr", {"lr": points}), 30, 3, plain=True)))


def test_a_chart_without_points_or_room_is_refused():
    for panel, width in ((Panel("x", {"x": []}), 40), (Panel("x", {"x": [(0, 0)]}), 12)):
        with pytest.raises(ValueError, match="a chart of"):
            draw(panel, width, 4)


def test_it_reads_steps_times_and_figures(paths):
    progress = read_progress(paths)
    assert (progress.iteration, progress.total, progress.is_done) == (100, 200, False)
    assert progress.facts(now=1105.0) == [
        "Mine: 100 of 200 steps (50 %)",
        "0.5 s/step, 1:01:01 left, logged 0:00:05 ago",
        "loss 0.125 l_pix 0.125, lr 0.001",
        "validation Set at 100: psnr 31.5 odd -",
    ]
    assert [path.name for path in progress.pictures] == ["a_100.png", "b #_100.png"]
    assert [panel.title for panel in progress.panels] == ["loss", "learning rate", "validation PSNR in dB"]


@pytest.mark.parametrize("width", [24, 80])
@pytest.mark.parametrize("panels", [0, 1, 2, 3])
def test_the_view_fits_the_terminal_and_uses_it(paths, width, panels):
    progress = read_progress(paths)
    progress = replace(progress, panels=progress.panels[:panels])
    for height in range(4, 60):
        lines = to_text(progress, width, height, plain=True).split("\n")
        assert max(map(len, lines)) <= width and len(lines) <= height
        charts = sum("|" in line for line in lines)
        assert charts == 10 * panels or height - len(lines) < max(6 * panels, 1) or not panels


def test_a_run_that_has_just_begun_and_none(tmp_path):
    paths = run_of(tmp_path)
    assert read_progress(paths).facts(0.0) == ["Mine: no step logged yet, of 200"]
    with pytest.raises(UserError, match="Other: no training run; give the name"):
        read_progress(ExperimentPaths(tmp_path / "Other"))


def test_options_without_a_length_are_one_line(paths):
    for text in ("name: Mine\n", "train: {total_iter: many}\n"):
        paths.config(0).write_text(text)
        with pytest.raises(UserError, match=r"config.yml: no train.total_iter; was the file changed\?"):
            read_progress(paths)


@pytest.mark.parametrize("seconds", ["0", "often", "nan", "4000"])
def test_a_time_between_views_that_is_no_use_is_one_line(seconds, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["Mine", "--every", seconds])
    assert ended.value.code == 2
    assert f"--every: expected 0.1 to 3600 seconds (got '{seconds}')" in capsys.readouterr().err


def test_an_experiment_goes_before_a_folder_of_the_same_name(paths, capsys, monkeypatch):
    work = paths.root.parent
    (work / "experiments").mkdir()
    paths.root.rename(work / "experiments/Mine")
    (work / "Mine").mkdir()
    monkeypatch.chdir(work)
    main(["Mine"])
    assert "100 of 200 steps" in capsys.readouterr().out


def test_the_page_is_loaded_anew_until_the_run_is_done_and_its_pictures_exist(paths):
    write_progress_page(paths.watched, read_progress(paths), 5.0)
    page = paths.watched.read_text()
    assert '<meta http-equiv="refresh" content="5">' in page and "<svg" in page and "31.5" in page
    sources = re.findall(r'<img src="([^"]+)"', page)
    assert len(sources) == 2 and all((paths.root / unquote(source)).is_file() for source in sources)
    with paths.events.open("a") as file:
        file.write(json.dumps(train(200, 0.1)) + "\n")
    write_progress_page(paths.watched, read_progress(paths), 5.0)
    assert "refresh" not in paths.watched.read_text()


def test_away_from_a_terminal_it_is_printed_once(paths, capsys, monkeypatch):
    monkeypatch.chdir(paths.root.parent)
    main(["Mine", "--page"])
    shown = capsys.readouterr().out
    assert "100 of 200 steps" in shown and "\x1b" not in shown
    assert f"page: {Path('Mine/watch.html')}" in shown and paths.watched.is_file()
