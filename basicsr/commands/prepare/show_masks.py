"""Show label maps on their photos: a picture for each, and contact_sheet.png."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = """example: {command} datasets/Demo/test/input
  datasets/Demo/test/grouped_masks results/masks"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare show-masks") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("images", type=typed_path, metavar="IMAGES", help="folder of photos")
    parser.add_argument(
        "labels", type=typed_path, metavar="LABELS", help="folder of masks, named like the photos"
    )
    parser.add_argument("output", type=typed_path, metavar="OUT", help="folder to write to")
    parser.add_argument(
        "--sheet", type=int, default=100, metavar="N", help="at most N photos on the sheet (default: 100)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing pictures")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.masks.show import show_masks

        count = show_masks(typed.images, typed.labels, typed.output, typed.sheet, typed.overwrite)
        print(shown(f"{count} overlays and a contact sheet in {typed.output}"))

    run_command(command, debug=False)
