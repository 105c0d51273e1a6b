"""One picture of a restoration: blurred, restored, sharp and label map side by side."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = """example:
  {command} datasets/Demo/test coffee_1 results/Demo-SegNAFNet/visualization/Demo \\
      before_after.png --crop 150"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur before-after") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("split", type=typed_path, help="folder with input/, target/ and grouped_masks/")
    parser.add_argument("key", help="name of the photo without suffix")
    parser.add_argument("restored", type=typed_path, help="folder with <key>.png")
    parser.add_argument("out", type=typed_path, help="picture to write")
    parser.add_argument("--crop", type=int, help="side of a square in the middle, shown twice as large")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.reporting.before_after import write_picture

        write_picture(**vars(typed))

    run_command(command, debug=False)
