"""Size of a report of many images, and how long a browser takes to open it: ``python
scripts/benchmark/report_page.py``.

The images are frames of 1280x720 from photos, blurred, with regions. Needs Playwright (``pip install
playwright``) and an installed Chromium.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from basicsr.config.cli import run_command
from basicsr.metrics import calculate_psnr
from basicsr.metrics.base import facts_of
from basicsr.preparation.photos import find_photos, read_photo
from basicsr.reporting import Report, ReportImage, ReportSet, make_thumbnails, write_report
from basicsr.segmenters.graph import graph_regions
from basicsr.utils.errors import UserError
from basicsr.utils.extras import optional_import
from basicsr.utils.typed_path import typed_path

Picture = NDArray[np.uint8]
SIZE = (1280, 720)
LEAST_SIDE = 480  # of photos that are taken: thumbnails of smaller ones would have less detail


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=typed_path, metavar="PHOTOS", help="folder of photos")
    parser.add_argument("--images", type=int, default=1000, help="in the report (default: 1000)")
    parser.add_argument("--keep", type=typed_path, metavar="FILE", help="write the report here and keep it")
    typed = parser.parse_args()
    run_command(lambda: measure(typed.photos, typed.images, typed.keep), debug=False)


def measure(photos: Path, count: int, keep: Path | None) -> None:
    """Make the report, open it three times and print what it took."""
    crops = itertools.cycle(list(_crops(photos)))
    images = []
    started = time.perf_counter()
    for number in range(count):
        images.append(_image(number, next(crops)))
    making = (time.perf_counter() - started) / count
    with tempfile.TemporaryDirectory() as folder:
        path = keep or Path(folder) / "report.html"
        metrics = {"psnr": facts_of("calculate_psnr")}
        report = Report(f"{count} images", [], [ReportSet("frames", images)], metrics)
        started = time.perf_counter()
        write_report(path, report)
        print(f"written in {time.perf_counter() - started:.1f} s, {1000 * making:.0f} ms an image before")
        print(f"{path.stat().st_size / 1e6:.1f} MB, {path.stat().st_size / count / 1e3:.1f} kB an image")
        for seconds, memory in _open(path, times=3):
            print(
                f"opened in {seconds:.2f} s, all cards there and first pictures painted; heap {memory:.0f} MB"
            )


def _crops(photos: Path) -> Iterator[tuple[Picture, Picture]]:
    """Frames of photos, with their label maps."""
    found = find_photos(photos)
    for key in found.keys():  # noqa: SIM118
        photo, _ = read_photo(found.read(key), found.describe(key))
        if min(photo.shape[:2]) < LEAST_SIDE:
            continue
        scale = max(SIZE[0] / photo.shape[1], SIZE[1] / photo.shape[0])
        grown = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        frame = np.ascontiguousarray(grown[: SIZE[1], : SIZE[0]])
        yield frame, graph_regions(frame)


def _image(number: int, frame: tuple[Picture, Picture]) -> ReportImage:
    """Mirrored by the parity of ``number``, blurred by its value; the result is a little less blurred."""
    gt, labels = frame
    if number % 2:
        gt, labels = np.ascontiguousarray(gt[:, ::-1]), np.ascontiguousarray(labels[:, ::-1])
    length = 9 + number % 13
    lq, restored = (cv2.blur(gt, (size, 1)) for size in (length, length // 4 * 2 + 1))
    thumbnails = make_thumbnails(lq, restored, gt, labels)
    before, after = calculate_psnr(lq, gt), calculate_psnr(restored, gt)
    key = f"{number // 100:03d}/{number % 100:08d}"
    return ReportImage(key, thumbnails, {"psnr": after}, {"psnr": before})


def _open(path: Path, times: int) -> Iterator[tuple[float, float]]:
    """Seconds until the page answers with its first pictures decoded, and its JavaScript heap in MB."""
    playwright = optional_import("playwright.sync_api", "the benchmark", "pip install playwright")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise UserError("chromium: not found on this machine; apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program)
        for _ in range(times):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            begin = time.perf_counter()
            page.goto(path.resolve().as_uri())
            page.locator(".card img").first.wait_for(state="attached")
            page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
            page.screenshot()
            seconds = time.perf_counter() - begin
            yield seconds, page.evaluate("performance.memory.usedJSHeapSize") / 1e6
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
