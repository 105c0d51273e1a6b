"""The wheel has all that `sam-deblur` needs, away from any checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what the wheel installs."""
    pytest.importorskip("setuptools", minversion="68", reason="setuptools is not installed")
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    source.mkdir()
    for name in ("basicsr", "options"):
        shutil.copytree(
            ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    code = f"import setuptools.build_meta as backend; backend.build_wheel({str(work)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "site")
    return work / "site"


@pytest.fixture
def sam_deblur(installed, tmp_path):
    """Runs the installed command in an empty folder."""

    def run(*words: str, beside: Path | None = None) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(installed), *([str(beside)] if beside else [])])
        code = "from basicsr.console import main; main()"
        return subprocess.run(
            [sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-c", code, *words],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return run


def test_wheel_holds_every_file_of_the_package_and_every_option_file(installed):
    for folder, place in (
        (ROOT / "basicsr", installed / "basicsr"),
        (ROOT / "options", installed / "basicsr/options"),
    ):
        files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        files = {path for path in files if "__pycache__" not in path.parts and path.parts[0] != "options"}
        assert {path for path in files if not (place / path).is_file()} == set()


def test_command_runs_in_an_empty_folder(sam_deblur, installed, tmp_path):
    assert sam_deblur("--help").returncode == 0
    done = sam_deblur("train", "Demo/NAFNet", "--set", "num_gpu=0", "datasets.val=null", "name=mine")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error: Demo/NAFNet: 2 mistakes",
        "  datasets.train.dataroot_gt: no such folder (got 'datasets/Demo/train/target')",
        "  datasets.train.dataroot_lq: no such folder (got 'datasets/Demo/train/input')",
    ]
    done = sam_deblur("train", "Demo/NAFNett")
    assert done.stderr == "error: Demo/NAFNett: no such option file. Did you mean 'Demo/NAFNet'?\n"
    assert list(tmp_path.iterdir()) == []
    assert sam_deblur("new", "network", "MyNet").returncode == 0
    assert (tmp_path / "my_net.py").is_file()


def test_demo_set_is_made_tested_and_restored(sam_deblur, tmp_path):
    assert sam_deblur("prepare", "demo-set").returncode == 0
    done = sam_deblur(
        "test", "Demo/NAFNet", "--set", "num_gpu=0", "val.report=false", "datasets.test.num_worker_per_gpu=0"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/Demo-NAFNet/metrics.json").is_file()


def test_another_distribution_with_the_same_import_package_is_told(sam_deblur, tmp_path):
    info = tmp_path / "beside/basicsr-1.4.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: basicsr\nVersion: 1.4.2\n")
    (info / "top_level.txt").write_text("basicsr\n")
    done = sam_deblur("test", "Demo/NAFNett", beside=info.parent)
    warning, error = done.stderr.splitlines()
    assert warning.startswith(
        "warning: basicsr 1.4.2 is installed as well, with its own import package basicsr"
    )
    assert error.startswith("error: Demo/NAFNett: ")
    assert sam_deblur("test", "--help", beside=info.parent).stderr == ""
