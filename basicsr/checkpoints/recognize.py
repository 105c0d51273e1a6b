"""Networks known by their weights alone; each registered one is asked (`basicsr.archs.base.recognize`)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from basicsr.archs.base import Block, recognizable, recognize
from basicsr.checkpoints.unwrap import below


def known() -> str:
    """The networks that need no description, for errors."""
    return ", ".join(entry.__name__ for entry in recognizable())


def recognize_below(state: Mapping[str, Tensor]) -> dict[str, Block]:
    """The blocks of the networks in a file, by the prefix of their weight names.

    ``{"": block}`` is usual; a file of another toolkit may give ``{"module.": block}``, or several.
    """
    paths = [name.split(".")[:-1] for name in state]
    # A network may be wrapped in another known one (WithMAP), so what is further out is asked first.
    for depth in range(max(map(len, paths), default=-1) + 1):
        prefixes = {"".join(f"{part}." for part in path[:depth]) for path in paths if len(path) >= depth}
        blocks = {prefix: recognize(below(state, prefix)) for prefix in sorted(prefixes)}
        if found := {prefix: block for prefix, block in blocks.items() if block is not None}:
            return found
    return {}
