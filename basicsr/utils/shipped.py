"""Weights by short names: those that are bundled, and those that were fetched for the user."""

from __future__ import annotations

from pathlib import Path

from basicsr.utils.fetchable import FETCHABLE
from basicsr.utils.typed_path import typed_path

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def shipped_weights() -> dict[str, Path]:
    """``{"NAFNet": file, ...}`` in alphabetical order; docs/weights.md describes them."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def fetched_weights() -> dict[str, Path]:
    """``{"maxim-deblurring": file, ...}``: those of `FETCHABLE` that are in the user's cache."""
    return {name: one.path for name, one in FETCHABLE.items() if one.path.is_file()}


def weight_file(named: str) -> Path:
    """The file that ``named`` means: bundled or fetched weights, or a path."""
    return shipped_weights().get(named) or fetched_weights().get(named) or typed_path(named)


def no_such_weights(named: str) -> str:
    """The error for a name or path without a file: what is available, and how to get more."""
    if named in FETCHABLE:
        one = FETCHABLE[named]
        size = f"{one.megabytes} MB, {one.license_short}"
        return f"not fetched yet; 'sam-deblur weights get {named}' does so ({size})"
    known = [f"{', '.join(shipped_weights())} (bundled)"]
    fetched = fetched_weights()
    if fetched:
        known.append(f"{', '.join(fetched)} (fetched)")
    waiting = [
        f"{name} ({one.megabytes} MB, {one.license_short})"
        for name, one in FETCHABLE.items()
        if name not in fetched
    ]
    if waiting:
        known.append(f"with 'sam-deblur weights get NAME': {', '.join(waiting)}")
    brought = "published files of known networks are given by path"
    return f"no such file, and no weights of that name. Known: {'; '.join(known)}; {brought}"
