"""Remarks on training samples."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Remark(NamedTuple):
    """One line on a file.

    Attributes:
        kind: ``unreadable``, replaced by another sample; ``small``, smaller than the crop; ``empty``, a mask
            without a region.
        text: names the file.
    """

    kind: Literal["unreadable", "small", "empty"]
    text: str
