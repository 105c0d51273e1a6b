"""The weights that come with the package, by the names of their networks."""

from __future__ import annotations

from pathlib import Path

from basicsr.utils.typed_path import typed_path

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def shipped_weights() -> dict[str, Path]:
    """``{"NAFNet": file, ...}`` in alphabetical order; docs/weights.md tells what they are."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def weight_file(named: str) -> Path:
    """The file that ``named`` means: the name of a network that the package ships weights of, or a path."""
    return shipped_weights().get(named) or typed_path(named)
