"""Fetch published weights by their short name, once.

`restore --weights NAME` and option files accept them from then on. The installed npm client fetches the
package, whose content must match the known hash; the weights are converted and kept in the user's cache.
No other command fetches anything.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.fetchable import FETCHABLE

EXAMPLES = """example:
  {command} maxim-deblurring"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur weights get") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "names", nargs="+", choices=list(FETCHABLE), metavar="NAME", help=", ".join(FETCHABLE)
    )
    parser.add_argument("--overwrite", action="store_true", help="fetch again what was fetched before")
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), debug=False)


def command(typed: argparse.Namespace) -> None:
    """Fetch what is missing."""
    from basicsr.checkpoints.packages import fetch
    from basicsr.utils.log import logger, open_log

    open_log(is_main=True)
    for name in typed.names:
        one = FETCHABLE[name]
        if one.path.is_file() and not typed.overwrite:
            logger().info(f"{name}: already fetched, {one.path}")
            continue
        logger().info(f"fetching {one.source} ({one.megabytes} MB; {one.license})")
        fetch(one)
        logger().info(f"please cite: {one.citation}")
