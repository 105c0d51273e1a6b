"""What the suite promises of itself: in CI nothing is skipped that could have been installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_part():
    pytest.importorskip("no_such_package")

@pytest.mark.gpu
@pytest.mark.skipif(True, reason="CUDA is not available")
def test_gpu():
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""


def run(folder: Path, **environment: str) -> str:
    """Run `TESTS`, and a file that is skipped as a whole, under the conftest.py of this suite."""
    (folder / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_none.py").write_text('import pytest\npytest.importorskip("no_such_package")\n')
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", folder]
    words += ["--continue-on-collection-errors", folder]
    clean = {key: value for key, value in os.environ.items() if key != "CI" and "XDIST" not in key}
    done = subprocess.run(words, capture_output=True, text=True, env=clean | environment, check=False)
    return done.stdout


@pytest.mark.slow
def test_what_is_missing_is_skipped_at_home_and_an_error_in_ci(tmp_path):
    assert "3 skipped, 1 xfailed" in run(tmp_path)
    output = run(tmp_path, CI="true")
    assert "1 failed, 1 skipped, 1 xfailed" in output and "1 error" in output
    assert "skipped in CI, which has to install what is missing" in output
    assert "no_such_package" in output
