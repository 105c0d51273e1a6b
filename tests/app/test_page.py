"""The page in a browser, from the upload to the download."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageCms

from basicsr import infer
from basicsr.checkpoints.weights import save_network
from basicsr.utils.image import read_rgb, write_png
from basicsr.utils.registry import ARCHS

pytestmark = [pytest.mark.slow, pytest.mark.dist]

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1], "middle_blk_num": 1}
JIN = {
    "center_width": 8, "side_width": 8, "center_blocks": 1, "near_blocks": 1, "far_blocks": 1,
    "center_global": 4, "side_global": 4,
}  # fmt: skip
MIB = 2**20


class Served(NamedTuple):
    """A page that is served, its folder of files, and where the command was called."""

    address: str
    folder: Path
    work: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    """``sam-deblur app``, which ends by a signal and leaves nothing behind."""
    work = tmp_path_factory.mktemp("app")
    torch.manual_seed(0)
    net = ARCHS.build("SegNAFNet", LEVELS)
    with torch.no_grad():
        net.ending.weight.mul_(0.3)
    save_network(work / "seg.pth", net, None, {"type": "SegNAFNet", **LEVELS})
    (work / "tmp").mkdir()
    words = ["app", "--weights", "seg.pth", "--device", "cpu", "--max_upload", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "basicsr.console", *words],
        cwd=work,
        env={
            **os.environ,
            "TMPDIR": str(work / "tmp"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r"the page is at (\S+?)/?; Ctrl\+C ends it", line):
            break
    else:
        raise AssertionError("".join(lines))
    (folder,) = (work / "tmp").glob("sam-deblur-app-*")
    yield Served(found.group(1), folder, work)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and list((work / "tmp").glob("sam-deblur-app-*")) == []


@pytest.fixture
def page(browser, served, monkeypatch) -> Iterator:
    """The page in a tab of its own; it asks nobody else for anything."""
    monkeypatch.chdir(served.work)
    monkeypatch.setenv("XDG_CACHE_HOME", str(served.work / "cache"))
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    blocked: list[str] = []  # by the policy of the page, before anything is sent
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("requestfailed", lambda request: request.failure == "csp" and blocked.append(request.url))
    tab.goto(served.address)
    tab.wait_for_selector("#start")
    yield tab
    tab.close()
    elsewhere = [url for url in asked if not url.startswith((served.address, "data:", "blob:"))]
    assert asked and [url for url in elsewhere if url not in blocked] == []


def cup() -> np.ndarray:
    return skimage.data.coffee()[100:164, 200:280]


def upload(page, place: str, *files: Path) -> None:
    page.set_input_files(f"{place} input[type=file]", [str(file) for file in files])
    for file in files:
        page.locator(place).get_by_text(file.stem).first.wait_for()


def restore(page, name: str) -> None:
    page.click("#start")
    page.locator(f".compare img[alt='{name}, after']").wait_for()


def downloaded(page, target: Path) -> bytes:
    with page.expect_download() as expected:
        page.click("#download")
    expected.value.save_as(target)
    assert expected.value.suggested_filename == target.name
    return target.read_bytes()


def repeated(page, tmp_path: Path, name: str) -> bytes:
    """What the command line beside the result makes, called where the photo is."""
    command = page.locator("#command .cm-content").inner_text()
    words = shlex.split(command.replace("\n", " "))
    assert words[:2] == ["sam-deblur", "restore"]
    words[words.index("-i") + 1] = str(tmp_path / words[words.index("-i") + 1])
    words[words.index("-o") + 1] = str(tmp_path / "repeated" / name)
    infer.main(words[2:])
    return (tmp_path / "repeated" / name).read_bytes()


def test_a_photo_with_all_it_carries(page, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(cup()).save(tmp_path / "cup.jpg", quality=90, exif=exif, icc_profile=profile)
    upload(page, "#files", tmp_path / "cup.jpg")
    restore(page, "cup.jpg")
    made = downloaded(page, tmp_path / "down" / "cup.jpg")
    assert made == repeated(page, tmp_path, "cup.jpg")
    with Image.open(BytesIO(made)) as picture:
        assert picture.format == "JPEG" and picture.info["icc_profile"] == profile
        assert picture.getexif()[0x010F] == "Maker" and picture.getexif()[0x0112] == 6
    seen = page.evaluate(
        "Promise.all([...document.querySelectorAll('.compare img')].map(async (one) => (await one.decode(),"
        " [one.naturalWidth, one.naturalHeight])))"
    )
    assert seen == [[64, 80], [64, 80]]  # upright, as the EXIF says


def style(page, name: str) -> str:
    return page.evaluate(f"document.querySelector('.compare').style.getPropertyValue('{name}')")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_slider_by_keyboard_and_pointer(page, tmp_path, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    write_png(tmp_path / "a.png", cup())
    upload(page, "#files", tmp_path / "a.png")
    restore(page, "a.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".compare input").focus()
    page.keyboard.press("ArrowRight")
    assert style(page, "--split") == "51%"
    page.keyboard.press("Home")
    assert style(page, "--split") == "0%"
    view = page.locator(".compare .view")
    view.focus()
    page.keyboard.press("ArrowRight")
    assert style(page, "--split") == "2%"
    box = view.bounding_box()
    page.mouse.move(box["x"] + 0.02 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20, steps=3)
    page.mouse.up()
    assert float(style(page, "--split")[:-1]) == pytest.approx(75, abs=1)
    view.focus()
    page.keyboard.press("+")
    before = float(style(page, "--x")[:-2])
    page.keyboard.press("ArrowLeft")
    assert float(style(page, "--zoom")) == 1.5 and float(style(page, "--x")[:-2]) > before
    page.get_by_role("button", name="Fit").click()
    assert (style(page, "--zoom"), style(page, "--x")) == ("1", "0px")


def test_only_here_leaves_the_rest_untouched(page, tmp_path):
    photo = np.full((80, 120, 3), 60, np.uint8)
    photo[:, 60:] = 200
    write_png(tmp_path / "halves.png", photo)
    upload(page, "#files", tmp_path / "halves.png")
    page.get_by_text("Regions", exact=True).click()
    page.click("#show_regions")
    page.get_by_text("This network is guided by masks.").wait_for()
    picture = page.locator("#regions img")
    picture.wait_for()
    box = picture.bounding_box()
    picture.click(position={"x": 0.75 * box["width"], "y": 0.5 * box["height"]})
    page.locator("#clear").wait_for()
    restore(page, "halves.png")
    made = downloaded(page, tmp_path / "down" / "halves.png")
    assert made == repeated(page, tmp_path, "halves.png")
    restored = read_rgb(tmp_path / "down" / "halves.png")
    assert np.array_equal(restored[:, :60], photo[:, :60])
    assert not np.array_equal(restored[:, 60:], photo[:, 60:])


def test_several_photos_and_a_broken_one(page, tmp_path):
    write_png(tmp_path / "a.png", cup())
    write_png(tmp_path / "b.png", cup()[:40])
    (tmp_path / "broken.png").write_text("no picture")
    upload(page, "#files", *(tmp_path / name for name in ("a.png", "b.png", "broken.png")))
    restore(page, "b.png")
    page.get_by_text(re.compile(r"broken\.png: ")).last.wait_for()
    page.locator("#history").get_by_text("1: a.png").click()
    page.locator(".compare img[alt='a.png, after']").wait_for()
    assert downloaded(page, tmp_path / "down" / "a.png") == repeated(page, tmp_path, "a.png")


def test_a_photo_becomes_a_clip_by_uploaded_weights(page, tmp_path):
    pytest.importorskip("av", reason="PyAV (extra video) is not installed")
    torch.manual_seed(0)
    save_network(tmp_path / "jin.pth", ARCHS.build("Jin", JIN), None, {"type": "Jin", **JIN})
    write_png(tmp_path / "a.png", cup())
    upload(page, "#files", tmp_path / "a.png")
    page.get_by_text("Own weights", exact=True).click()
    upload(page, "#own", tmp_path / "jin.pth")
    restore(page, "a.mp4")
    assert page.locator(".compare video").count() == 1
    made = downloaded(page, tmp_path / "down" / "a.mp4")
    assert made[4:8] == b"ftyp" and len(made) > 500


def test_cancelling_keeps_what_is_done(page, tmp_path):
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        write_png(tmp_path / name, np.tile(cup(), (2, 2, 1)))
    upload(page, "#files", *(tmp_path / name for name in names))
    page.locator("#ensemble input").check()
    page.click("#start")
    page.get_by_text(re.compile(r"\.png \([2-6] of 6\)")).first.wait_for()
    page.click("#cancel")
    page.get_by_text("Cancelled").first.wait_for()
    assert 1 <= page.locator("#history input").count() < 6


def test_a_file_that_is_too_large_is_refused(page, served, tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(MIB + 1))
    page.set_input_files("#files input[type=file]", [str(tmp_path / "large.png")])
    page.get_by_text("exceed the maximum allowed size").first.wait_for()
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = head + bytes(2 * MIB) + b"\r\n--x--\r\n"  # from a client that does not ask
    request = urllib.request.Request(
        f"{served.address}/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as refused:
        urllib.request.urlopen(request)
    assert not isinstance(refused.value, urllib.error.HTTPError) or refused.value.code == 413
    assert not any(file.stat().st_size > MIB for file in served.folder.rglob("*"))


@pytest.mark.parametrize("place", ["/etc/hostname", "{work}/seg.pth", "http://127.0.0.1:9/a.png"])
def test_other_files_and_addresses_are_refused(served, place: str):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{served.address}/gradio_api/file={place.format(work=served.work)}")
    assert refused.value.code in (403, 404)
