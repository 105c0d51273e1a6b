"""A study that is asked to exit ends its runs and says so in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_STUDY = """
import asyncio, sys
from pathlib import Path
from basicsr.config.cli import run_command
from basicsr.studies.runs import run_file
from basicsr.utils.log import open_log

open_log(True)
folder = Path(sys.argv[1])
run_command(lambda: asyncio.run(run_file(folder / "train.py", "row", [], folder / "log", {})), False)
"""
_TRAINING = """
import signal, sys, time
from pathlib import Path

here = Path(__file__).parent
signal.signal(signal.SIGTERM, lambda *_: ((here / "saved").write_text(""), sys.exit(75)))
(here / "begun").write_text("")
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_runs_save_before_it_ends(tmp_path: Path, number: signal.Signals):
    (tmp_path / "train.py").write_text(_TRAINING)
    study = subprocess.Popen(
        [sys.executable, "-c", _STUDY, str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    study.send_signal(number)
    _, errors = study.communicate(timeout=60)
    assert study.returncode == 128 + number
    assert (tmp_path / "saved").exists()
    assert errors.splitlines()[-1] == f"interrupted by {number.name}"
    assert "Traceback" not in errors
