"""A line of the report, and how it is laid out."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from basicsr.utils.display import shown

_WIDTH = 80
_NAME = 20


@dataclass(frozen=True)
class Finding:
    """One item that was checked.

    Args:
        name: of the item.
        what: what was found.
        hint: what to do; empty where there is nothing to do.
        fails: whether the program cannot work this way.
    """

    name: str
    what: str
    hint: str = ""
    fails: bool = False

    def text(self) -> str:
        """Lines of at most 80 columns, unless a word is longer."""
        return "\n".join([*_column(self.name, self.what), *(_column("", self.hint) if self.hint else [])])


def _column(name: str, text: str) -> list[str]:
    first = f"  {shown(name):{_NAME}}"
    if len(first) > _NAME + 2:
        first += "  "
    return textwrap.wrap(
        shown(text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * (_NAME + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
