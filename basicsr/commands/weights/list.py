"""List the weights that have short names: those that are bundled, were fetched, or can be fetched.

--weights of restore takes a short name, and so do option files; --weights auto means MAXIM-1S for photos, and
SegNAFNet for videos and where masks are asked for.
Files from elsewhere are given by path: published weights of NAFNet, SAM-Deblur and other known networks are
recognized.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command

EXAMPLES = """example:
  {command} | grep maxim"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur weights list") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), debug=False)


def command(typed: argparse.Namespace) -> None:
    """One line each."""
    from basicsr.utils.display import shown
    from basicsr.utils.fetchable import FETCHABLE
    from basicsr.utils.shipped import shipped_weights

    rows = [(name, f"bundled: {path}") for name, path in shipped_weights().items()]
    for name, one in FETCHABLE.items():
        size = f"{one.megabytes} MB, {one.license_short}"
        where = f"fetched: {one.path}" if one.path.is_file() else f"'sam-deblur weights get {name}' ({size})"
        rows.append((name, f"{one.what} (trained on {one.training_data}); {where}"))
    width = max(len(name) for name, _ in rows) + 2
    for name, what in rows:
        print(shown(f"{name:{width}}{what}"))
