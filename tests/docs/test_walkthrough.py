"""The script with cells runs, and its page has all of it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from basicsr.masks import read_label_map
from basicsr.utils.image import read_rgb

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs/walkthrough.py"


def test_it_runs_and_restores(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    blurred, restored = map(
        float, re.search(r"blurred ([\d.]+) dB, restored ([\d.]+) dB", done.stdout).groups()
    )
    assert restored > blurred + 1  # uniform blur is what the bundled weights gain most on
    pictures = [read_rgb(tmp_path / f"walkthrough/{name}.png") for name in ("blurred", "restored", "regions")]
    labels = read_label_map(tmp_path / "walkthrough/labels.png")
    assert {picture.shape[:2] for picture in pictures} == {labels.shape}
    assert labels.max() > 1 and not np.array_equal(*pictures[:2])


def test_its_page_has_the_text_and_the_code_in_order(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/hooks")
    page = importlib.import_module("cells").cells_page(SCRIPT)
    assert page.startswith("# Masks, MAP and restoring")
    script = SCRIPT.read_text(encoding="utf-8")
    code = [line for line in script.splitlines() if line and not line.startswith("#")]
    fenced = re.findall(r"```python\n(.*?)\n```", page, re.DOTALL)
    assert [line for cell in fenced for line in cell.splitlines() if line] == code
    outside = re.sub(r"```python\n.*?\n```", "", page, flags=re.DOTALL)
    assert "mask_average_pool` does this for all regions at once" in outside
    assert "# %%" not in page


@pytest.mark.parametrize("cell", ["# %%\nprint(1)\n", "# %% [markdown]\n# # Title\n#\n# text\n"])
def test_a_cell_of_each_kind(cell, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/hooks")
    (tmp_path / "cells.py").write_text(cell)
    page = importlib.import_module("cells").cells_page(tmp_path / "cells.py")
    assert page == ("```python\nprint(1)\n```\n" if "print" in cell else "# Title\n\ntext\n")
