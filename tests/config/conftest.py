"""Option files that load: a small one of our own, and the shipped ones with stand-ins for their paths."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from basicsr.config.load import Command, load_config
from basicsr.config.schema import Config
from basicsr.utils.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]
ABSENT = re.compile(r"[\w.]+: (no such folder|no such file|not fetched yet).* \(got '(.+)'\)")


def small_options(folder: Path) -> dict[str, Any]:
    """A valid training file; ``folder`` stands for the data."""
    roots = {"dataroot_gt": str(folder), "dataroot_lq": str(folder)}
    return {
        "name": "small",
        "datasets": {
            "train": {"type": "PairedImageDataset", "name": "Small-train", **roots},
            "val": {"type": "PairedImageDataset", "name": "Small-val", **roots},
        },
        "network_g": {"type": "NAFNet", "width": 8},
        "train": {
            "optim_g": {"type": "AdamW", "lr": 0.001},
            "scheduler": {"type": "TrueCosineAnnealingLR", "T_max": 100},
            "total_iter": 100,
            "pixel_opt": {"type": "PSNRLoss"},
        },
    }


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Any]:
    """Options that load as they are; tests change what they are about."""
    return small_options(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(options or text, name)``: an option file in the test's folder."""

    def write_file(options: dict[str, Any] | str, name: str = "options.yml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = options if isinstance(options, str) else yaml.safe_dump(options, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def load_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Config]:
    """``load_shipped("train/GoPro/NAFNet.yml")``: the `Config`, once the paths that it asks for are there."""
    monkeypatch.chdir(tmp_path)

    def load(name: str) -> Config:
        path = ROOT / "options" / name
        command: Command = "train" if name.startswith("train") else "test"
        try:
            return load_config(path, command=command)
        except OptionError as error:
            absent = [ABSENT.fullmatch(line) for line in error.mistakes]
            assert all(absent), [
                line for line, match in zip(error.mistakes, absent, strict=True) if not match
            ]
        for match in absent:
            place = Path(match[2])
            if match[1] == "no such folder":
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
        return load_config(path, command=command)

    return load
