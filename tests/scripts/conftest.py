"""What tests of the benchmark share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "benchmark"


@pytest.fixture
def load_benchmark(monkeypatch) -> Iterator[Callable[[str], ModuleType]]:
    """A function: name of a script of the benchmark -> its module; it is forgotten afterwards, with what it
    imports from its folder.
    """
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(FOLDER / f"{name}.py"):
            del sys.modules[name]
