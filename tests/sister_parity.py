"""Numbers of published networks and losses, whose weights a rule computes; they lie beside the checkout."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "parity_sisters"


def fixture(name: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """A fixture of the index: options of the published network, its weights by their published names, arrays.

    Skips the test where the folder is not there. Losses have no weights.
    """
    entry = _entry(name)
    state = {}
    if entry["weights"]:
        rule = entry["weights"]
        shapes = {key: shape for key, shape, dtype in entry["keys"] if dtype.startswith("float")}
        how = (rule["network_rule"], rule["gain"], rule["special_mode"], rule["bias_scale"])
        weights = _rule()
        values = weights.fill(shapes, *how)
        assert weights.checksum(values) == rule["crc32"]
        state = {key: torch.from_numpy(value) for key, value in values.items()}
    with np.load(FOLDER / entry["file"]) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files}
    return entry["options"], state, arrays


def tolerance(name: str) -> float:
    """What float32 can reach, relative to the largest value of an array."""
    return float(_entry(name)["tolerance"]["tight"])


def distance(result: Tensor, reference: Tensor) -> float:
    """Largest difference, relative to the largest value of the reference."""
    assert result.shape == reference.shape
    return float((result.detach() - reference).abs().max() / reference.abs().max())


def _entry(name: str) -> dict[str, Any]:
    if not FOLDER.is_dir():
        pytest.skip("the folder shared/ with parity numbers and real images is not beside this checkout")
    entry: dict[str, Any] = json.loads((FOLDER / "index.json").read_text())["fixtures"][name]
    return entry


def _rule() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fill_weights", FOLDER / "fill_weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
