"""Write a commented starting file for a segmenter of your own, with its test beside it."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.commands.new import start_code


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur new segmenter") -> None:
    """Entry point."""
    start_code("segmenter", "Squares", argv, called)
