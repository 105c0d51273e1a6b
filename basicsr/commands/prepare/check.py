"""Check counts, pairing, sizes, masks and duplicates of a data set; exits with 1 if something is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} datasets/GoPro"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare check") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("folder", type=typed_path, help="data set, or one split of it")
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.check_dataset import check_dataset
        from basicsr.utils.errors import UserError

        report = check_dataset(typed.folder, typed.workers)
        print(report.text())
        if report.problems:
            raise UserError(f"{typed.folder}: something is wrong, see above")

    run_command(command, debug=False)
