"""Write the frames of videos, a folder for each, as prepare clips and prepare average-frames expect them.

Existing folders are left unchanged. Needs the extra: pip install 'sam-deblur[video]'.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} film.mp4 frames/
  {command} videos/ frames/train --height 360 --limit 400"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare frames") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "videos", type=typed_path, nargs="+", metavar="VIDEO", help="files, or folders of them"
    )
    parser.add_argument("output", type=typed_path, metavar="OUT", help="gets a folder for each video")
    parser.add_argument(
        "--height", type=int, metavar="N", help="of the frames, where a video is higher (default: its own)"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="keep every N-th frame (default: 1)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="frames of each video (default: all)")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.restoration.frame_folders import FrameExtraction, extract_frames
        from basicsr.utils.log import open_log

        open_log(is_main=True)
        extract_frames(FrameExtraction(typed.videos, typed.output, typed.height, typed.every, typed.limit))

    run_command(command, debug=False)
