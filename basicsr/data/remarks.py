"""What is to be said of a training sample, beside what is in it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Remark(NamedTuple):
    """One line on a file.

    Attributes:
        kind: ``unreadable``, so another sample took its place; ``small``, less than the crop; ``empty``, a
            mask without a region.
        text: names the file.
    """

    kind: Literal["unreadable", "small", "empty"]
    text: str
