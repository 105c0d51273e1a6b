"""Write a commented option file that trains a network on a folder of your own pairs.

The folder has target and input (sharp and blurred photos of the same names), or train with both and maybe val
or test; beside them grouped_masks, for networks that take label maps. Without val and test the last tenth of
the pairs, in the order of their names, is kept for validation; lists beside the option file name them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import OptionFileName, command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} datasets/Mine
  {command} datasets/Mine --from NAFNet -o mine.yml
  {command} datasets/Mine --from GoPro/Uformer"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur new options") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("data", type=typed_path, metavar="DATA", help="folder of the pairs")
    parser.add_argument(
        "--from", type=OptionFileName, dest="start", metavar="NAME",
        help="what to begin with: NAFNet, SegNAFNet (bundled weights) or MAXIM (fetched ones), or the recipe "
        "of an option file such as GoPro/Uformer; default: SegNAFNet where there are label maps, else NAFNet",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=typed_path, metavar="FILE",
        help="default: <name of the folder>-<network>.yml in the current folder",
    )  # fmt: skip
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), debug=False)


def command(typed: argparse.Namespace) -> None:
    """Write the file, and print how to continue."""
    from basicsr.preparation.own_options import write_own_options

    written = write_own_options(typed.data, typed.start, typed.output)
    pairs = f"{written.trained} pairs, validated on {written.validated}"
    print(shown(f"{written.file}: trains {written.network} on {pairs}; sam-deblur train {written.file}"))
    for path in written.lists:
        print(shown(f"{path}: names of its pairs"))
