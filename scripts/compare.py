"""Compare the results of several runs side by side, in one page that opens from disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from basicsr.config.cli import run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: python scripts/compare.py results/Demo-NAFNet results/Demo-SegNAFNet -o compare.html"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
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
    typed = parser.parse_args()

    def command() -> None:
        from basicsr.reporting.comparison import compare

        for note in compare(typed.results, typed.output):
            print(f"note: {note}")
        print(f"comparison: {typed.output}")

    run_command(command, debug=False)


if __name__ == "__main__":
    main()
