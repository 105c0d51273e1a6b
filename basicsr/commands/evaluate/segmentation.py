"""Compare two folders of label pictures: mean IoU over the classes, pixel accuracy and mean Dice.

Pictures pair by name. A label is the index of a palette PNG, or the value of a gray picture.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} results/labels datasets/Cityscapes/labels --ignore 255 -o results/iou"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur evaluate segmentation") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("predicted", type=typed_path, help="folder of the label pictures to judge")
    parser.add_argument("true", type=typed_path, help="folder of the true ones")
    parser.add_argument(
        "-o", "--output", type=typed_path, required=True, metavar="DIR",
        help="gets metrics.json, metrics.csv and classes.csv",
    )  # fmt: skip
    parser.add_argument(
        "--ignore", type=int, nargs="+", default=[], metavar="LABEL",
        help="true labels whose pixels do not count (default: all count)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.protocols.segmentation import evaluate_segmentation
        from basicsr.utils.log import open_log

        open_log(is_main=True)
        evaluate_segmentation(
            typed.predicted, typed.true, typed.output, typed.ignore, typed.overwrite, typed.workers
        )

    run_command(command, debug=False)
