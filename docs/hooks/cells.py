"""A script with cells as a page: Markdown cells as text, the others as code."""

from __future__ import annotations

import re
from pathlib import Path

_CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?$", re.MULTILINE)


def cells_page(script: Path) -> str:
    """Markdown of a script in the percent format of VS Code, Spyder and Jupytext."""
    _, *parts = _CELL.split(script.read_text(encoding="utf-8"))
    blocks = []
    for kind, cell in zip(parts[::2], parts[1::2], strict=True):
        text = cell.strip("\n")
        blocks.append(_without_hashes(text) if kind else f"```python\n{text}\n```")
    return "\n\n".join(blocks) + "\n"


def _without_hashes(text: str) -> str:
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines())
