"""Compare the results of several runs side by side, in one page that opens from disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} results/Demo-NAFNet results/Demo-SegNAFNet -o compare.html"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur compare") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument(
        "results",
        type=typed_path,
        nargs="+",
        metavar="RESULT",
        help="folders in which test.py wrote report.html",
    )
    parser.add_argument(
        "-o", "--output", type=typed_path, default=Path("compare.html"), metavar="FILE",
        help="page to write (default: compare.html)",
    )  # fmt: skip
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.reporting.comparison import compare

        for note in compare(typed.results, typed.output):
            print(shown(f"note: {note}"))
        print(shown(f"comparison: {typed.output}"))

    run_command(command, debug=False)
