from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from basicsr.reporting import Report, ReportSet, write_report
from basicsr.reporting.comparison import compare
from basicsr.reporting.page import read_page
from basicsr.utils.errors import UserError

from .conftest import make_image, make_report


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    """Two runs; the second lacks one image of the first, and has one more."""
    keys = {"first": ["a", "b", "c"], "second": ["c", "a", "d"]}
    for number, (name, names) in enumerate(keys.items()):
        images = [
            make_image(key, 30.0, 31.0 + number, full={"lq": "../in/x%20y.png", "restored": f"{key}.png"})
            for key in names
        ]
        write_report(tmp_path / name / "report.html", make_report(*images, title=name))
    return [tmp_path / name for name in keys]


def test_common_images_stand_beside_each_other(runs, tmp_path):
    notes = compare(runs, tmp_path / "pages/compare.html")
    document = read_page(tmp_path / "pages/compare.html")
    assert [run["name"] for run in document["runs"]] == ["first", "second"]
    (compared,) = document["sets"]
    assert [image["key"] for image in compared["images"]] == ["a", "c"]
    for image in compared["images"]:
        assert [result["values"]["psnr"] for result in image["results"]] == [31.0, 32.0]
        assert image["input"] == {"psnr": 30.0} and set(image["thumbnails"]) == {"lq", "gt", "labels"}
    assert (
        notes
        == document["notes"]
        == [
            "Set: 1 of 3 images of first are not in all runs, left out",
            "Set: 1 of 3 images of second are not in all runs, left out",
        ]
    )


def test_links_lead_to_the_same_files(runs, tmp_path):
    compare(runs, tmp_path / "pages/compare.html")
    image = read_page(tmp_path / "pages/compare.html")["sets"][0]["images"][0]
    assert image["full"] == {"lq": "../in/x%20y.png"}
    assert [result["full"] for result in image["results"]] == ["../first/a.png", "../second/a.png"]


def test_other_inputs_are_told(tmp_path):
    for name, before in (("a", 30.0), ("b", 28.0)):
        write_report(tmp_path / name / "report.html", make_report(make_image("x", before), title=name))
    (note,) = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "compare.html")
    assert note.startswith("Set: 1 images have a different input than in a, e.g. x")


def test_runs_of_one_name_go_by_their_folders(tmp_path):
    for name in ("a", "b"):
        write_report(tmp_path / name / "report.html", make_report(make_image("x")))
    compare([tmp_path / "a", tmp_path / "b", tmp_path / "b"], tmp_path / "compare.html")
    names = [run["name"] for run in read_page(tmp_path / "compare.html")["runs"]]
    assert names == [str(tmp_path / "a"), f"{tmp_path / 'b'} (2)", f"{tmp_path / 'b'} (3)"]


def test_a_set_of_one_run_only_is_told(tmp_path):
    report = make_report(make_image("x"))
    more = replace(report, title="more", sets=[*report.sets, ReportSet("Other", [make_image("y")])])
    write_report(tmp_path / "a.html", report)
    write_report(tmp_path / "b.html", more)
    for order in (["a.html", "b.html"], ["b.html", "a.html"]):
        notes = compare([tmp_path / name for name in order], tmp_path / "compare.html")
        assert len(notes) == 1 and "Other" in notes[0] and "left out" in notes[0]
        assert [item["name"] for item in read_page(tmp_path / "compare.html")["sets"]] == ["Set"]


def test_mistakes_are_one_line(runs, tmp_path):
    with pytest.raises(UserError, match="at least two results, found 1"):
        compare(runs[:1], tmp_path / "compare.html")
    with pytest.raises(UserError, match=r"nowhere: the report cannot be read"):
        compare([*runs, tmp_path / "nowhere"], tmp_path / "compare.html")
    compare(runs, tmp_path / "compare.html")
    with pytest.raises(UserError, match=r"compare.html: a comparison itself"):
        compare([runs[0], tmp_path / "compare.html"], tmp_path / "again.html")
    with pytest.raises(UserError, match=r"report.html: would replace a report"):
        compare(runs, runs[1] / "report.html")
    other = Report("other", [], [ReportSet("Elsewhere", [make_image("z")])])
    write_report(tmp_path / "other.html", other)
    with pytest.raises(UserError, match="no image in common"):
        compare([runs[0], tmp_path / "other.html"], tmp_path / "again.html")
    assert not (tmp_path / "again.html").exists()


def test_the_command(runs, tmp_path, monkeypatch, run_script):
    monkeypatch.chdir(tmp_path)
    done = run_script("compare.py", "first", "second", "-o", "pages/both.html")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "comparison: pages/both.html"
    assert (tmp_path / "pages/both.html").is_file()
    wrong = run_script("compare.py", "first", "nowhere")
    assert (
        wrong.returncode == 1 and wrong.stderr.startswith("error: nowhere") and wrong.stderr.count("\n") == 1
    )
