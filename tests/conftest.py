"""What several test files share."""

from __future__ import annotations

import io
import logging
import os
import runpy
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from basicsr.masks.label_map import write_label_map
from basicsr.utils import plugins, registry
from basicsr.utils.cores import usable_cores
from basicsr.utils.image import write_png
from basicsr.utils.log import close_log, logger

ROOT = Path(__file__).resolve().parents[1]

# A busy machine is no mistake of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among the processes of pytest-xdist, and with what tests start.

    What PyTorch traces of its compiler is left out: it is hundreds of lines below a test that fails.
    """
    logging.getLogger("torch.__trace").disabled = True
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, usable_cores() // workers)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start several processes run one after the other."""
    for item in items:
        if item.get_closest_marker("dist"):
            item.add_marker(pytest.mark.xdist_group("dist"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one, unless it needs a GPU or the material beside the checkout."""
    report = yield
    needs_more = item.get_closest_marker("gpu") or "shared" in getattr(item, "fixturenames", ())
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and not needs_more:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, which has to install what is missing: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that is skipped as a whole."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, which has to install what is missing: {report.longreprtext}"
    return report


@pytest.fixture(autouse=True)
def no_open_log() -> Iterator[None]:
    """A command that ran in this process has opened the log; the next test may want to read it."""
    yield
    close_log()
    logger().propagate = True


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_script(monkeypatch, capsys) -> Callable[..., Done]:
    """A function: path of a script below scripts/ and its words -> how it ended.

    It runs in this process, which has imported PyTorch already.
    """

    def run(script: str, *words: object) -> Done:
        path = str(ROOT / "scripts" / script)
        capsys.readouterr()
        code = 0
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", [path, *map(str, words)])
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                assert isinstance(end.code, int)
                code = end.code
        return Done(code, *capsys.readouterr())

    return run


class OwnCode:
    """Plugins that a test writes into its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str, name: str = "my_code.py") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def unload(self) -> None:
        """As if this process had not loaded any."""
        for plugin in plugins._loaded.values():
            for name in [name for name in sys.modules if f"{name}.".startswith(f"{plugin.module}.")]:
                del sys.modules[name]
            for item in vars(registry).values():
                if isinstance(item, registry.Registry):
                    item.forget(plugin.module)
        plugins._loaded.clear()


@pytest.fixture
def own_code(tmp_path, monkeypatch) -> Iterator[OwnCode]:
    """Writes plugins; what is loaded meanwhile is gone afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a file that is rewritten within a second
    code = OwnCode(tmp_path / "own")
    yield code
    code.unload()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Development material that lies beside the project and is not part of it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder shared/ with parity numbers and real images is not beside this checkout")
    return folder


@pytest.fixture
def paired_set(tmp_path) -> Path:
    """Six pairs of 40x48 with label maps and gray masks, in the layout of the published sets.

    Every field shows where a pixel came from: the red channel of an image is its row, the green one its
    column, blue its number; labels and masks mark the left half.
    """
    folder = tmp_path / "set"
    rows, columns = np.mgrid[0:40, 0:48]
    for number in range(6):
        name = f"photo_{number}.png"
        target = np.stack([rows * 4, columns * 4, np.full_like(rows, number * 10)], -1).astype(np.uint8)
        labels = np.where(columns < 24, 1 + rows // 20, 3).astype(np.int32)
        labels[:2] = 0
        write_png(folder / "target" / name, target)
        write_png(folder / "input" / name, target + 3)
        write_png(folder / "input_mask" / name, (labels * 50).astype(np.uint8))
        write_label_map(folder / "grouped_masks" / name, labels)
    return folder


@pytest.fixture
def palette_png():
    """A function: ids (H, W) below 2^bits -> PNG with a palette of colors that say nothing of the ids."""

    def encode(ids: np.ndarray, bits: int = 8) -> bytes:
        picture = Image.fromarray(ids.astype(np.uint8)).convert("L")
        picture.putpalette(np.random.default_rng(bits).integers(0, 256, 3 << bits, np.uint8).tobytes())
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", bits=bits)
        return buffer.getvalue()

    return encode


@pytest.fixture
def harmed_jpeg() -> bytes:
    """JPEG of 40x48 noise, whole in its markers, of which 200 bytes in the middle are zero."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    middle = len(data) // 2
    return data[:middle] + bytes(200) + data[middle + 200 :]


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A headless browser of this machine; Playwright downloads none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser on this machine; looked for {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program)
        yield browser
        browser.close()
