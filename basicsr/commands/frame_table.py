"""Tabulate results of runs per frame of their clips, from the metrics.json of their tests, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = """examples:
  {command} results/REDS7-Jin-naive results/REDS7-Jin-hypercut --metric ppsnr
  {command} results/SmallClips-*-seed? --over_seeds"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur frame-table") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("results", type=typed_path, nargs="+", metavar="DIR", help="results of tests")
    parser.add_argument(
        "--metric",
        default="ppsnr",
        metavar="NAME",
        help="of val.metrics; one value per frame (default: ppsnr)",
    )
    parser.add_argument(
        "--over_seeds", action="store_true", help="combine runs named ..-seed0, ..-seed1: mean ± deviation"
    )
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.reporting.frame_table import frame_table
        from basicsr.utils.display import Lines

        print(Lines(frame_table(typed.results, typed.metric, typed.over_seeds)).shown)

    run_command(command, debug=False)
