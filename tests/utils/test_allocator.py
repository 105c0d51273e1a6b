"""Freed memory is used again without a fault of its pages, and goes back to the system when asked."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)

_MEASURE = """
import resource, sys
import numpy as np
from pathlib import Path
from basicsr.utils.allocator import keep_freed_memory, return_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

if "keep" in sys.argv:
    keep_freed_memory()
np.ones(64 << 20, np.uint8)
before = faults()
for _ in range(8):
    np.ones(64 << 20, np.uint8)
print(faults() - before)
kept = resident()
return_freed_memory()
print(kept - resident())
"""


def measured(*words: str, **environment: str) -> tuple[int, int]:
    """Page faults of 8 arrays of 64 MB, each freed before the next; bytes that were returned when asked."""
    command = [sys.executable, "-c", _MEASURE, *words]
    # Else the system may use pages of 2 MB, whose faults are few.
    environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0", **environment}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    faults, returned = map(int, output.split())
    return faults, returned


def test_kept_memory_has_no_page_faults_and_can_be_returned():
    pages = 8 * (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    faults, returned = measured()
    assert faults > pages // 1024  # a fault may bring in many pages
    assert returned < 8 << 20
    kept_faults, kept_returned = measured("keep")
    assert kept_faults < faults / 4
    assert kept_returned > 32 << 20


@pytest.mark.parametrize(
    "setting",
    [{"MALLOC_MMAP_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}],
)
def test_settings_of_the_user_stay(setting: dict[str, str]):
    assert measured("keep", **setting)[1] < 8 << 20


def test_other_tunables_do_not_matter():
    assert measured("keep", GLIBC_TUNABLES="glibc.malloc.hugetlb=0")[1] > 32 << 20
