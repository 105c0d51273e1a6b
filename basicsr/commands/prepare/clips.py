"""Make clips for blur-to-video: blurred photos, the sharp frames of each, and metadata.json.

Windows of consecutive sharp frames are averaged in linear light. Whole folders go to train, val and test; a
first folder named train.., val.. or test.. determines the split. A second run makes only what is missing.
Without OUT, FRAMES already has the layout <clip>/blur/0000.png, <clip>/sharp/0000_1.png, .. (RB2V, B-AIST++),
and only metadata.json is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} FRAMES datasets/Mine --frames 7 --gap 1
  {command} REDS/ datasets/REDS7 --stride 7
  {command} datasets/RB2V-Street"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare clips") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "source", type=typed_path, metavar="FRAMES", help="sharp frames, a folder for each clip"
    )
    parser.add_argument("output", type=typed_path, nargs="?", metavar="OUT", help="folder of the data set")
    parser.add_argument("--frames", type=int, default=7, metavar="N", help="of a clip (default: 7)")
    parser.add_argument(
        "--gap", type=int, default=1, metavar="N",
        help="from one frame of a clip to the next; all between are averaged, too (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--stride", type=int, metavar="N",
        help="from the start of one clip to that of the next (default: clips follow each other)",
    )  # fmt: skip
    parser.add_argument("--gamma", type=float, default=2.2, help="of the frames (default: 2.2)")
    parser.add_argument("--val", type=float, default=0.1, metavar="SHARE", help="of the clips (default: 0.1)")
    parser.add_argument(
        "--test", type=float, default=0.1, metavar="SHARE", help="of the clips (default: 0.1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="make all clips again")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.clips.make import ClipJob, Shares, make_clips, scan_clips
        from basicsr.utils.log import open_log

        open_log(is_main=True)
        shares = Shares(typed.val, typed.test, typed.seed)
        if typed.output is None:
            scan_clips(typed.source, shares)
            return
        job = ClipJob(
            frames=typed.source,
            output=typed.output,
            count=typed.frames,
            gap=typed.gap,
            stride=typed.stride,
            gamma=typed.gamma,
            shares=shares,
            workers=typed.workers,
            overwrite=typed.overwrite,
        )
        make_clips(job)

    run_command(command, debug=False)
