"""What a process has taken of memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from basicsr.utils.memory import peak_memory

# In a process of its own, as that of the tests may have held gigabytes before.
HOLD_AND_RELEASE = """
import numpy as np, torch
from basicsr.utils.memory import peak_memory
before = peak_memory(torch.device("cpu"))
held = np.ones(before // 8 + (64 << 20) // 8)
print(held.nbytes, before, peak_memory(torch.device("cpu")))
del held
print(peak_memory(torch.device("cpu")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak")
def test_the_peak_rises_with_what_is_held_and_stays():
    printed = subprocess.run([sys.executable, "-c", HOLD_AND_RELEASE], check=True, capture_output=True).stdout
    held, before, risen, afterward = map(int, printed.split())
    assert before < held < risen
    assert afterward > held, "the peak stays"


def test_what_the_system_does_not_report_is_none(monkeypatch):
    monkeypatch.setattr("basicsr.utils.memory.Path.read_text", _fail)
    assert peak_memory(torch.device("cpu")) is None


def _fail(*_, **__) -> str:
    raise FileNotFoundError
