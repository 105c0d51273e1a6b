"""Make the data of the SmallClips option files: clips of seven frames, simulated from photos.

Files that are there are kept, so an interrupted run continues.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = """example:
  {command} datasets/SmallClips --photos BSDS500/train --held_photos kodak"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare small-clips") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("output", type=typed_path, metavar="OUT", help="e.g. datasets/SmallClips")
    parser.add_argument("--photos", type=typed_path, required=True, metavar="DIR", help="sharp photos")
    parser.add_argument(
        "--held_photos", type=typed_path, required=True, metavar="DIR", help="sharp photos to test on"
    )
    parser.add_argument("--n", type=int, default=2, metavar="N", help="clips per training photo (default: 2)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    typed = parser.parse_args(argv)
    if typed.n < 1:
        parser.error("--n takes 1 or more")

    def command() -> None:
        from basicsr.recipes.small_clips import SmallClips, make_small_clips
        from basicsr.utils.log import open_log

        open_log(True)
        make_small_clips(SmallClips(typed.output, typed.photos, typed.held_photos, typed.n, typed.workers))

    run_command(command, debug=False)
