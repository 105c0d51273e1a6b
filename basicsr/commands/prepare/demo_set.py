"""Make the Demo data set from photographs of scikit-image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} datasets/Demo"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare demo-set") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument(
        "folder", nargs="?", type=typed_path, default=Path("datasets/Demo"), help="default: datasets/Demo"
    )
    folder = parser.parse_args(argv).folder

    def command() -> None:
        from basicsr.recipes.demo_set import make_demo_dataset

        print(shown(f"{make_demo_dataset(folder)} pairs in {folder}"))

    run_command(command, debug=False)
