"""Bring the frames of clips into one direction of time, by a trained ordering network.

Each clip gets the order keep, reverse, or ignore if its pairs of frames do not agree. It is decided on the
stored frames, so running it twice changes nothing; the scores are written beside OUT.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = """example:
  {command} datasets/REDS7/metadata.json datasets/REDS7/metadata_ordered.json \\
      --weights experiments/REDS7-HyperCUT/models/net_g_latest.pth"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur order-frames") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("metadata", type=typed_path, metavar="META", help="metadata.json of clips")
    parser.add_argument("output", type=typed_path, metavar="OUT", help="the same, with orders")
    parser.add_argument(
        "--weights", type=typed_path, required=True, metavar="FILE", help="of an ordering network"
    )
    parser.add_argument(
        "--root",
        type=typed_path,
        metavar="DIR",
        help="folder or LMDB that the paths are relative to (default: META's)",
    )
    parser.add_argument(
        "--box_size", type=int, nargs=2, metavar="N",
        help="height and width that boxes of clips are resized to (default: whole frames)",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="auto", help="auto (default: a GPU where there is one), cpu, cuda"
    )
    parser.add_argument("--dry-run", action="store_true", help="print how many clips would get each order")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.clips.order import OrderJob, order_frames
        from basicsr.utils.log import open_log

        open_log(is_main=True)
        box_size = None if typed.box_size is None else (typed.box_size[0], typed.box_size[1])
        order_frames(
            OrderJob(
                metadata=typed.metadata,
                output=typed.output,
                weights=typed.weights,
                root=typed.root,
                box_size=box_size,
                device=typed.device,
                dry_run=typed.dry_run,
                overwrite=typed.overwrite,
            )
        )

    run_command(command, debug=False)
