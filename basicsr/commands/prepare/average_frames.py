"""Make pairs of blurred and sharp images from sharp video frames, as GoPro and REDS were made.

A window of n consecutive frames is averaged in linear light; its middle frame is the target. Of a range, odd
numbers are drawn, as others have no middle frame. A second run makes only what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} --frames clips --out datasets/Mine/train --n 7..13
  {command} --frames clips --out pairs --n 5 --crf crf.npy"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare average-frames") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "--frames", type=typed_path, required=True, metavar="DIR", help="sharp frames, a folder for each clip"
    )
    parser.add_argument(
        "--out", type=typed_path, required=True, metavar="DIR", help="gets input/, target/ and params.jsonl"
    )
    parser.add_argument(
        "--n", required=True, metavar="N or A..B", help="frames in a window, or the range it is drawn from"
    )
    parser.add_argument(
        "--even", action="store_true",
        help="draw even numbers as well, as published sets do; targets of these lie half a frame too late",
    )  # fmt: skip
    parser.add_argument(
        "--stride", type=int, metavar="N",
        help="frames from window to window (default: windows follow each other)",
    )  # fmt: skip
    response = parser.add_mutually_exclusive_group()
    response.add_argument("--gamma", type=float, default=2.2, help="of the frames (default: 2.2)")
    response.add_argument(
        "--crf",
        type=typed_path,
        metavar="FILE",
        help=".npy with the linear light of each value, 256 or 256 x 3",
    )
    parser.add_argument(
        "--rounding", choices=["truncate", "nearest"], default="truncate",
        help="to 8 bits; truncate (default) as in GoPro, nearest does not darken images",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the numbers drawn from A..B (default: 0)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="make all pairs again")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.pairs.average_frames import FrameJob, FrameWindows, make_averaged_pairs
        from basicsr.utils.log import open_log

        open_log(is_main=True)
        windows = FrameWindows.parse(typed.n, typed.stride, typed.seed, typed.even)
        job = FrameJob(
            frames=typed.frames,
            output=typed.out,
            windows=windows,
            gamma=typed.gamma,
            crf=typed.crf,
            rounding=typed.rounding,
            overwrite=typed.overwrite,
            workers=typed.workers,
        )
        count = make_averaged_pairs(job)
        found = f"{count.clips} clips, {count.made} pairs made, {count.kept} there already"
        print(shown(f"{typed.out}: {found}"))

    run_command(command, debug=False)
