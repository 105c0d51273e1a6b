from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basicsr.reporting import Report, ReportImage, ReportSet, link, make_thumbnails, write_report
from basicsr.reporting.model import to_document
from basicsr.reporting.page import read_page
from basicsr.utils.errors import UserError
from basicsr.utils.image import decode_rgb

from .conftest import GREEN, RED, make_image, make_report, plain


def test_a_page_holds_its_document(tmp_path):
    report = make_report(make_image("a", notes=["4000 x 3000"], full={"lq": "x.png", "restored": "y.png"}))
    write_report(tmp_path / "report.html", report)
    document = read_page(tmp_path / "report.html")
    assert document == json.loads(json.dumps(to_document(report)))
    (image,) = document["sets"][0]["images"]
    assert image["key"] == "a" and image["size"] == [90, 60] and image["input"] == {"psnr": 30.0}
    assert image["full"] == {"lq": "x.png"} and image["results"][0]["full"] == "y.png"
    restored = decode_rgb(base64.b64decode(image["results"][0]["thumbnail"]), "thumbnail")
    assert np.abs(restored.astype(int) - plain(GREEN)).max() < 8


@given(text=st.text())
def test_any_text_survives_and_ends_no_element(tmp_path_factory, text: str):
    path = tmp_path_factory.mktemp("page") / "report.html"
    text = f"{text}</script><!--{{{{data}}}}"
    write_report(path, make_report(ReportImage(text, make_thumbnails(plain(RED), plain(RED)), notes=[text])))
    assert read_page(path)["sets"][0]["images"][0]["key"] == text
    assert path.read_text(encoding="utf-8").count("</script>") == 2, "the document's and the script's"


def test_a_page_names_no_other_place(tmp_path):
    write_report(tmp_path / "report.html", make_report(make_image("a")))
    page = (tmp_path / "report.html").read_text()
    assert page.count("http") == page.count("http://www.w3.org/2000/svg") + page.count("http-equiv")
    assert "default-src 'none'" in page


def test_the_policy_of_a_page_lets_its_own_script_run_and_no_other(tmp_path):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    write_report(tmp_path / "report.html", make_report(make_image(hostile, notes=[hostile])))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    allowed = dict(part.split(maxsplit=1) for part in policy.split("; "))
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert allowed["script-src"] == f"'sha256-{digest}'"
    assert {allowed[key] for key in ("default-src", "base-uri", "form-action")} == {"'none'"}
    assert not re.search(r"\son\w+=", page.replace(_document_of(page), "")), (
        "handlers in attributes do not run"
    )


def _document_of(page: str) -> str:
    return page.partition('<script id="report" type="application/json">')[2].partition("</script>")[0]


def test_numbers_without_a_word_in_json_come_back(tmp_path):
    write_report(tmp_path / "report.html", make_report(make_image("a", math.inf, math.nan)))
    image = read_page(tmp_path / "report.html")["sets"][0]["images"][0]
    assert float(image["input"]["psnr"]) == math.inf and math.isnan(
        float(image["results"][0]["values"]["psnr"])
    )


@pytest.mark.parametrize("content", ["", "<html>", '<script id="report" type="application/json">{"a"', "\0"])
def test_another_page_is_one_line(tmp_path, content: str):
    (tmp_path / "x.html").write_text(content)
    with pytest.raises(UserError, match=r"x.html: not a report .* run the evaluation again"):
        read_page(tmp_path / "x.html")


def test_a_report_of_an_earlier_version_is_one_line(tmp_path):
    write_report(tmp_path / "x.html", make_report(make_image("a")))
    page = (tmp_path / "x.html").read_text()
    (tmp_path / "x.html").write_text(page.replace('"metrics": ', '"units": ', 1))
    with pytest.raises(UserError, match=r"x.html: a report of an earlier version; run the evaluation again"):
        read_page(tmp_path / "x.html")


def test_a_page_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"report.html: the report cannot be read"):
        read_page(tmp_path / "report.html")


def test_links_lead_from_the_page_to_the_file(tmp_path):
    file = tmp_path / "data/set #1/50 %/a?.png"
    url = link(file, tmp_path / "results/run")
    assert url.startswith("../../data/") and not set(url) & set(" #?")
    assert (tmp_path / "results/run" / unquote(url)).resolve() == file


def test_thumbnails_are_small_and_alike():
    rng = np.random.default_rng(0)
    lq, restored, gt = (rng.integers(0, 256, (720, 1280, 3), np.uint8) for _ in range(3))
    thumbnails = make_thumbnails(lq, restored, gt)
    assert thumbnails.size == (1280, 720) and thumbnails.labels is None and thumbnails.gt is not None
    pictures = (thumbnails.lq, thumbnails.restored, thumbnails.gt)
    assert sum(map(len, pictures)) <= 36_000, "even noise, which no picture is harder than"
    shapes = {decode_rgb(picture, "thumbnail").shape for picture in pictures}
    assert len(shapes) == 1 and max(shapes.pop()) >= 240


def test_photos_fit_the_budget():
    """36 kB are 48 kB in base64, beside which the label map is small."""
    skimage = pytest.importorskip("skimage.data")
    photo = skimage.coffee()
    thumbnails = make_thumbnails(photo, photo, photo)
    assert len(thumbnails.lq) * 3 <= 36_000
    assert thumbnails.lq == thumbnails.restored == thumbnails.gt, "one quality"
    height, width = decode_rgb(thumbnails.lq, "thumbnail").shape[:2]
    assert width >= 360 and height == round(width * 400 / 600)


@pytest.mark.parametrize("shape", [(1, 1), (17, 5000), (5000, 17), (480, 480), (60, 90)])
def test_thumbnails_of_any_size(shape: tuple[int, int]):
    photo = np.full((*shape, 3), GREEN, np.uint8)
    thumbnails = make_thumbnails(photo, photo, None, np.ones(shape, np.int32))
    height, width = decode_rgb(thumbnails.lq, "thumbnail").shape[:2]
    assert max(height, width) == min(max(shape), 480) and min(height, width) >= 1
    assert thumbnails.size == shape[::-1] and thumbnails.gt is None


def test_label_maps_keep_their_regions():
    labels = np.repeat(np.arange(300, dtype=np.int32) * 200, 2)[None].repeat(4, 0)
    photo = np.zeros((*labels.shape, 3), np.uint8)
    encoded = make_thumbnails(photo, photo, labels=labels).labels
    assert encoded is not None
    ids = decode_rgb(encoded, "labels")[0, :, 0]
    assert ids.size == 320
    seen = labels[0, (np.arange(320) * 600) // 320]
    numbers = np.unique(seen, return_inverse=True)[1]
    assert np.array_equal(ids, np.where(numbers > 0, (numbers - 1) % 255 + 1, 0))


def test_pictures_of_other_sizes_are_refused():
    photo = plain(RED)
    with pytest.raises(ValueError, match="must be equal"):
        make_thumbnails(photo, photo[1:])
    with pytest.raises(ValueError, match="must be equal"):
        make_thumbnails(photo, photo, labels=np.zeros((3, 3), np.int32))


def test_the_page_travels_with_the_package():
    import basicsr.reporting

    folder = Path(basicsr.reporting.__file__).parent
    configured = (folder.parents[1] / "pyproject.toml").read_text()
    assets = [path.name for path in folder.iterdir() if path.suffix in (".html", ".css", ".js")]
    assert len(assets) == 3 and [name for name in assets if f'"{name}"' not in configured] == []


def test_sets_and_facts_are_kept_in_order():
    report = Report("r", [("b", "1"), ("a", "2")], [ReportSet("z", []), ReportSet("a", [])])
    document = to_document(report)
    assert document["runs"] == [{"name": "r", "facts": [["b", "1"], ["a", "2"]]}]
    assert (
        [item["name"] for item in document["sets"]] == ["z", "a"]
        and document["gain"] is None
        and document["metrics"] == {}
    )
