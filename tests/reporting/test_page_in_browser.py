"""The page as a person uses it: opened from disk, without a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from basicsr.metrics.base import MetricFacts
from basicsr.metrics.summary import Summary
from basicsr.reporting import Report, ReportImage, ReportSet, make_thumbnails, write_report
from basicsr.reporting.comparison import compare
from basicsr.utils.image import decode_rgb, write_png

from .conftest import BLUE, GREEN, RED, make_image, make_report, plain

DESKTOP = {"viewport": {"width": 1200, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

Color = tuple[int, int, int]
FIRST_REGION = (26, 255, 74)  # of the first id, as the page makes it
NO_ERROR = (8, 8, 20)
MIDDLE_ERROR = (159, 58, 90)  # 20 of 40 gray values: half-way between the violet and the orange of the scale


@pytest.fixture
def visit(browser, tmp_path) -> Iterator[Callable]:
    """Opens a report, or a page that is there; at the end nothing was loaded and nothing complained."""
    complaints, loaded, contexts = [], [], []

    def visit(shown: Report | Path, **how):
        path = shown if isinstance(shown, Path) else tmp_path / "report.html"
        if isinstance(shown, Report):
            write_report(path, shown)
        context = browser.new_context(offline=True, **(how or DESKTOP))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(path.as_uri())
        page.locator(".card").first.wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []
    assert loaded and [url for url in loaded if not url.startswith(("file:", "data:"))] == []


def split(page) -> float:
    return float(page.eval_on_selector(".viewer", "box => parseFloat(box.style.getPropertyValue('--split'))"))


def colors(page, *places: tuple[float, float], of: str = ".viewer") -> list[list[int]]:
    """What is seen at (x, y), shares of the first viewer."""
    picture = decode_rgb(page.locator(of).first.screenshot(), "screenshot")
    height, width = picture.shape[:2]
    return [picture[round(y * height), round(x * width)].tolist() for x, y in places]


def assert_sees(page, left: Color, right: Color, of: str = ".viewer", tolerance: int = 8) -> None:
    """The colors left and right of the divider, once pictures are decoded and maps are painted."""
    for _ in range(50):
        seen = colors(page, (0.3, 0.3), (0.7, 0.3), of=of)
        if np.abs(np.subtract(seen, [left, right])).max() <= tolerance:
            return
        page.wait_for_timeout(100)
    assert seen == [list(left), list(right)]


def mix(a: Color, b: Color) -> Color:
    """Half of each, as the overlay of regions is."""
    return tuple((x + y) // 2 for x, y in zip(a, b, strict=True))


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def test_dragging_moves_the_divider_between_input_and_result(visit):
    page = visit(make_report(make_image("a")))
    assert split(page) == 50
    assert_sees(page, RED, GREEN)
    box = page.locator(".viewer").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, y)
    page.mouse.move(box["x"] + box["width"] * 0.2, y)
    page.mouse.up()
    assert split(page) == pytest.approx(20, abs=1)
    assert_sees(page, GREEN, GREEN)
    assert colors(page, (0.1, 0.3))[0] == pytest.approx(RED, abs=8)


def test_keys_move_the_divider(visit):
    page = visit(make_report(make_image("a")))
    page.locator(".divider").first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert split(page) == 60
    page.keyboard.press("Home")
    assert split(page) == 0
    page.keyboard.press("ArrowLeft")
    assert split(page) == 0
    assert page.locator(".divider").first.get_attribute("aria-valuetext") == "0 %"


def test_everything_is_reached_by_keyboard(visit):
    page = visit(make_report(make_image("a")))
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        name = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
        reached.add(page.evaluate(name))
    assert {"Divider of a", "Enlarge a", "Ground truth", "Error", "Regions"} <= reached


def test_ground_truth_regions_and_error_are_shown_on_demand(visit):
    page = visit(make_report(make_image("a")))
    press(page, "Ground truth")
    assert_sees(page, RED, BLUE)
    press(page, "Ground truth")

    press(page, "Regions")
    assert_sees(page, mix(RED, FIRST_REGION), GREEN)
    press(page, "Regions")
    assert_sees(page, RED, GREEN)


def test_the_error_map_is_black_where_nothing_differs(visit):
    gt = plain((100, 100, 100))
    image = ReportImage("a", make_thumbnails(gt + 20, gt, gt), {"psnr": 40.0}, {"psnr": 22.0})
    page = visit(make_report(image))
    press(page, "Error")
    assert_sees(page, MIDDLE_ERROR, NO_ERROR, tolerance=14)


def test_a_finger_moves_the_divider_on_a_phone(visit):
    page = visit(make_report(*(make_image(f"a/rather/long/name/of/an/image_{i}") for i in range(3))), **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    viewer = page.locator(".viewer").first
    viewer.scroll_into_view_if_needed()
    box = viewer.bounding_box()
    x, y = box["x"], box["y"] + box["height"] * 0.3
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *shares: float) -> None:
        points = [{"x": x + share * box["width"], "y": y} for share in shares]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.5)
    for share in (0.6, 0.7, 0.8):
        touch("touchMove", share)
    touch("touchEnd")
    assert split(page) == pytest.approx(80, abs=2)


def test_the_comparison_fits_on_a_phone(visit, tmp_path):
    for name in ("a", "b"):
        write_report(tmp_path / name / "report.html", make_report(make_image("x"), title=f"Demo-{name * 30}"))
    compare([tmp_path / "a", tmp_path / "b"], tmp_path / "compare.html")
    page = visit(tmp_path / "compare.html", **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def shown_keys(page) -> list[str]:
    return page.locator(".card .key").all_text_contents()


def test_images_are_found_and_sorted(visit):
    gains = {"b/2": -4.0, "a/10": 1.0, "a/9": 2.5}
    images = [make_image(key, 30, 30 + gain, notes=[f"took {gain} s"]) for key, gain in gains.items()]
    page = visit(make_report(*images))
    assert shown_keys(page) == ["b/2", "a/10", "a/9"]
    page.select_option("#sort", "Name")
    assert shown_keys(page) == ["a/9", "a/10", "b/2"]
    page.select_option("#sort", "PSNR gain, lowest first")
    assert shown_keys(page) == ["b/2", "a/10", "a/9"]
    page.select_option("#sort", "PSNR, highest first")
    assert shown_keys(page) == ["a/9", "a/10", "b/2"]
    page.fill("#find", "A/ took")
    assert shown_keys(page) == ["a/9", "a/10"]
    assert page.inner_text("#count") == "2 of 3"
    page.fill("#find", "nowhere")
    assert page.inner_text(".cards") == "No image fits."


def test_table_distribution_and_extremes(visit):
    gains = (-5.0, -3.0, 0.5, 1.0, 2.0)
    page = visit(make_report(*(make_image(f"image {gain}", 30, 30 + gain) for gain in gains)))
    cells = page.locator("table.metrics tbody tr").all_inner_texts()
    assert [text.split("\t") for text in cells[1:]] == [
        ["input", "30.00", "", ""],
        ["restored", "29.10", "0.9000", "\u22120.90"],
    ]
    assert "\u22120.90 dB on average · 3 of 5 images better · 1 lost more than 3 dB" in page.inner_text(
        "figcaption"
    )
    assert page.locator("svg line.threshold").count() == 1
    assert page.locator("svg rect.collapsed").count() > 0
    best, worst = (page.locator(".strip").nth(i).inner_text().split("\n") for i in (0, 1))
    assert best[:2] == ["image 2.0", "+2.00"] and worst[:2] == ["image -5.0", "\u22125.00"]
    page.fill("#find", "2.0")
    page.locator(".strip").nth(1).get_by_role("button").first.click()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Divider of image -5.0"
    assert "collapsed" in page.locator(".card", has_text="image -5.0").inner_text()


def test_enlarging_shows_the_full_pictures(visit, tmp_path):
    for name in ("lq", "restored"):
        write_png(tmp_path / f"{name} #1.png", plain(RED, 600, 900))
    full = {name: f"{name}%20%231.png" for name in ("lq", "restored")}
    page = visit(make_report(make_image("a", full=full), make_image("b")))
    press(page, "Enlarge a")
    page.locator("dialog .side.left img[src^=lq]").wait_for()
    assert page.eval_on_selector("dialog .side.right img", "picture => picture.naturalWidth") == 900
    assert_sees(page, RED, RED, of="dialog .viewer")
    page.get_by_role("button", name="Next image").click()
    assert page.inner_text("#large-name") == "b · 90 × 60"
    page.locator("dialog").get_by_role("button", name="Error").click()
    page.keyboard.press("Escape")
    page.locator(".cards [aria-pressed=true]").wait_for()
    assert not page.locator("dialog").is_visible()
    pressed = [
        button.get_attribute("aria-pressed") for button in page.get_by_role("button", name="Error").all()
    ]
    assert pressed == ["false", "true"]


def test_photos_without_ground_truth(visit):
    thumbnails = make_thumbnails(plain(RED), plain(GREEN))
    notes = ["guard: 3 % of the area replaced by the input", "4000 x 3000, 12.3 s"]
    images = [ReportImage(f"photo {i}", thumbnails, notes=notes) for i in range(2)]
    page = visit(Report("Photos", [], [ReportSet("photos", images)]))
    for section in ("#tables", "#gains", "#extremes"):
        assert not page.locator(section).is_visible()
    assert page.locator(".card").first.get_by_role("button").count() == 1, "only to enlarge"
    assert page.locator(".card .notes").first.all_inner_texts() == ["\n".join(notes)]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_values_that_are_no_numbers(visit, value: float):
    page = visit(
        make_report(make_image("a", value, 30.0), make_image("b", 30.0, value), make_image("c", value, value))
    )
    shown = page.inner_text("main")
    assert ("not a number" if math.isnan(value) else "∞") in shown
    for order in page.locator("#sort option").all_text_contents():
        page.select_option("#sort", order)
        assert sorted(shown_keys(page)) == ["a", "b", "c"]


def cells(page, table: str) -> list[list[str]]:
    """What the body of a table says, row by row."""
    rows = page.locator(f"{table} tbody tr").all_inner_texts()
    return [[cell.strip() for cell in row.split("\t")] for row in rows]


def test_one_perfect_image_hides_no_other(visit, tmp_path):
    """Means are over finite values, with the count of the others beside them, in every table."""
    before = {"a": 28.0, "b": 29.0, "c": 30.0}
    for name, after in {"A": (30.0, math.inf, 34.0), "B": (29.0, 33.0, math.nan)}.items():
        images = [make_image(key, before[key], psnr) for key, psnr in zip(before, after, strict=True)]
        write_report(tmp_path / name / "report.html", make_report(*images, title=name))
    page = visit(tmp_path / "A" / "report.html")
    rows = cells(page, "table.metrics")[1:]
    assert rows == [
        ["input", "29.00", "", ""],
        ["restored", "32.00\n1 infinite", "0.9000", "+3.00\n1 infinite"],
    ]
    caption = page.locator("#histograms figcaption").inner_text()
    assert caption.startswith("+3.00 dB on average") and caption.endswith("1 infinite, left out")

    compare([tmp_path / "A", tmp_path / "B"], tmp_path / "compare.html")
    page = visit(tmp_path / "compare.html")
    rows = cells(page, "table.metrics")[2:]
    assert rows == [
        ["A", "32.00\n1 infinite", "0.9000", "+3.00\n1 infinite"],
        ["B", "31.00\n1 undefined", "0.9000", "+2.50\n1 undefined"],
    ]
    assert page.locator("table.metrics .best").all_text_contents() == ["0.9000", "0.9000"], "PSNR has none"
    paper = [["A", "32.00 / .900\nPSNR: 1 infinite"], ["B", "31.00 / .900\nPSNR: 1 undefined"]]
    assert cells(page, "table.paper")[1:] == paper


def test_metrics_of_sets_and_of_clips_are_compared_in_their_directions(visit, tmp_path):
    """A clip counts with all its frames; a metric of the set has the figure of the whole set, or none."""
    metrics = {
        "drift": MetricFacts("Drift", "Drift", better="lower", unit="px", digits=1),
        "fid": MetricFacts("FID", "FID", better="lower", digits=3, averaged=False),
    }
    thumbnails = make_thumbnails(plain(RED), plain(GREEN))
    runs = {"A": ({"a": [1.0, 2.0, 3.0], "b": 6.0}, 0.5), "B": ({"a": [2.0] * 3, "b": 4.0}, 0.75)}
    for name, (drifts, fid) in runs.items():
        images = [ReportImage(key, thumbnails, {"drift": drift}) for key, drift in drifts.items()]
        item = ReportSet("Set", images, {"fid": Summary.of([fid]), "drift": Summary.of([0.0])})
        write_report(tmp_path / name / "report.html", Report(name, [], [item], metrics))
        fewer = ReportSet("Set", images[:1], {"fid": Summary.of([fid])})
        write_report(tmp_path / f"{name}-fewer" / "report.html", Report(name, [], [fewer], metrics))
    page = visit(tmp_path / "A" / "report.html")
    assert cells(page, "table.metrics")[1:] == [["restored", "3.0", "0.500"]]
    assert page.locator(".card .values dd").all_inner_texts() == ["2.0", "6.0"]

    compare([tmp_path / "A", tmp_path / "B"], tmp_path / "compare.html")
    page = visit(tmp_path / "compare.html")
    assert cells(page, "table.metrics")[1:] == [["A", "3.0", "0.500"], ["B", "2.5", "0.750"]]
    assert page.locator("table.metrics .best").all_text_contents() == ["0.500", "2.5"]
    compare([tmp_path / "A-fewer", tmp_path / "B"], tmp_path / "compare.html")
    page = visit(tmp_path / "compare.html")
    assert [row[2] for row in cells(page, "table.metrics")[1:]] == ["0.500", ""], "of B an image is left out"


def test_a_set_of_perfect_images_has_an_infinite_mean(visit):
    page = visit(make_report(make_image("a", 30.0, math.inf), make_image("b", 31.0, math.inf)))
    assert cells(page, "table.metrics")[2][1] == "\u221e\n2 infinite"


def test_names_are_text_and_never_markup(visit):
    key = """dir/<img src=x onerror="document.title='bad'">&amp;'</script>\u00e9"""
    page = visit(make_report(make_image(key, notes=[key]), title=key))
    assert shown_keys(page) == [key]
    assert page.inner_text("h1") == key == page.title()


def test_a_thousand_cards_hold_only_pictures_near_the_window(visit):
    image = make_image("x")
    images = [ReportImage(f"{i}", image.thumbnails, image.values, image.input) for i in range(1000)]
    page = visit(make_report(*images))
    assert page.locator(".card").count() == 1000
    assert page.locator(".card img").count() < 100
    assert page.locator(".card").first.locator("img").count() == 2
    page.locator(".card").nth(900).scroll_into_view_if_needed()
    page.locator(".card").nth(900).locator("img").first.wait_for()
    assert page.locator(".card").first.locator("img").count() == 0


def test_runs_are_compared_as_chosen(visit, tmp_path):
    for name, values in {"A": (31.0, 33.0), "B": (32.0, 29.0)}.items():
        images = [make_image(f"image {i}", 30.0, value) for i, value in enumerate(values)]
        write_report(tmp_path / name / "report.html", make_report(*images, title=name))
    compare([tmp_path / "A", tmp_path / "B"], tmp_path / "compare.html")
    page = visit(tmp_path / "compare.html")
    rows = [text.split("\t") for text in page.locator("table.metrics tbody tr").all_inner_texts()[1:]]
    assert rows == [
        ["input", "30.00", "", ""],
        ["A", "32.00", "0.9000", "+2.00"],
        ["B", "30.50", "0.9000", "+0.50"],
    ]
    assert page.locator("table.metrics .best").all_text_contents() == ["32.00", "0.9000", "0.9000"]
    paper = [text.split("\t") for text in page.locator("table.paper tbody tr").all_inner_texts()]
    assert paper == [["input", "30.00 / –"], ["A", "32.00 / .900"], ["B", "30.50 / .900"]]

    assert page.locator(".difference td").first.inner_text() == "+1.00"
    page.select_option("#sort", "PSNR difference, lowest first")
    assert shown_keys(page) == ["image 1", "image 0"]
    assert page.locator("svg .threshold").count() == 0, "collapse is measured against the input"
    page.select_option("#left", "0")
    assert page.locator("svg line.threshold").count() == 1
    assert page.locator(".viewer .name.left").first.inner_text() == "input"
    assert page.locator(".difference td").all_inner_texts()[0] == "\u22121.00"


def test_light_and_dark(visit):
    report = make_report(make_image("a"))
    brightness = []
    for scheme in ("light", "dark"):
        page = visit(report, viewport={"width": 800, "height": 600}, color_scheme=scheme)
        brightness.append(decode_rgb(page.screenshot(), "page")[0, 0].mean())
    assert brightness[0] > 240 and brightness[1] < 40


def test_pictures_keep_their_shape(visit):
    """A strip of 4 x 900 is seen whole, inside a box that does not fill the page."""
    strip = plain(RED, 900, 4)
    page = visit(make_report(ReportImage("strip", make_thumbnails(strip, strip))))
    box = page.locator(".viewer").first.bounding_box()
    assert box["height"] < 1.4 * box["width"]
    assert colors(page, (0.1, 0.5))[0] == [16, 17, 19], "beside the strip is the ground"


CLIP = [(40 * number, 90, 200 - 40 * number) for number in range(5)]


def make_clip(key: str) -> ReportImage:
    """A red photo; a clip that gets redder, and a true one that gets bluer."""
    frames = np.stack([plain(color) for color in CLIP])
    thumbnails = make_thumbnails(plain(RED), frames, frames[::-1])
    return ReportImage(key, thumbnails, {"psnr": [30.0, 31, 32, 31, 30], "ssim": 0.9}, {"psnr": 29.0})


def test_arrow_keys_step_through_a_clip_beside_its_photo(visit):
    page = visit(make_report(make_clip("a")))
    assert_sees(page, RED, CLIP[2])
    page.locator(".player input").first.focus()
    for frame in (3, 4, 4):
        page.keyboard.press("ArrowRight")
        assert_sees(page, RED, CLIP[frame])
    assert page.locator(".player output").first.text_content() == "5 of 5"
    for frame in (3, 2, 1, 0, 0):
        page.keyboard.press("ArrowLeft")
        assert_sees(page, RED, CLIP[frame])
    assert page.locator(".player input").first.get_attribute("aria-valuetext") == "frame 1 of 5"


def test_the_truth_and_the_error_are_those_of_the_frame(visit):
    page = visit(make_report(make_clip("a")))
    press(page, "Ground truth")
    page.locator(".player input").first.focus()
    page.keyboard.press("Home")
    assert_sees(page, RED, CLIP[4])
    press(page, "Error")
    page.locator(".player input").first.focus()
    page.keyboard.press("End")
    assert_sees(page, (252, 246, 180), NO_ERROR)


def test_a_clip_plays_there_and_back_until_it_is_stopped(visit):
    page = visit(make_report(make_clip("a")))
    press(page, "Play a")
    seen = set()
    for _ in range(60):
        seen.add(page.locator(".player output").first.text_content())
        page.wait_for_timeout(40)
    assert seen == {f"{number} of 5" for number in range(1, 6)}
    press(page, "Play a")
    stopped = page.locator(".player output").first.text_content()
    page.wait_for_timeout(400)
    assert page.locator(".player output").first.text_content() == stopped


def test_a_clip_plays_in_the_large_view(visit):
    page = visit(make_report(make_clip("a")))
    press(page, "Enlarge a")
    page.locator("dialog .player input").focus()
    page.keyboard.press("ArrowRight")
    assert_sees(page, RED, CLIP[3], of="dialog .viewer")
    page.keyboard.press("Escape")
    assert_sees(page, RED, CLIP[3])


def test_a_photo_has_no_player(visit):
    page = visit(make_report(make_image("a")))
    assert page.locator(".player").count() == 0
