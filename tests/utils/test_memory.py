"""What a process has taken of memory."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from basicsr.utils.memory import peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak")
def test_the_peak_rises_with_what_is_held_and_stays():
    before = peak_memory(CPU)
    held = np.ones(before // 8 + (64 << 20) // 8)  # more than the process has ever held
    size = held.nbytes
    assert peak_memory(CPU) > size
    del held
    assert peak_memory(CPU) > size, "the peak stays"


def test_what_the_system_does_not_report_is_none(monkeypatch):
    monkeypatch.setattr("basicsr.utils.memory.Path.read_text", _fail)
    assert peak_memory(CPU) is None


def _fail(*_, **__) -> str:
    raise FileNotFoundError
