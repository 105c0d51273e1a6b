"""Write a weight file in another form: smaller, or with the description that published files lack."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import add_plugin_argument, add_weights_arguments, command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} experiments/Demo-SegNAFNet/models/net_g_latest.pth small.safetensors --precision float16
  {command} published.pth described.pth
  {command} variables.npz srn.safetensors"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur convert") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "source", type=typed_path,
        help="own checkpoint, published weights, or an .npz with the variables of TensorFlow's SRN",
    )  # fmt: skip
    parser.add_argument("output", type=typed_path, help=".pth or .safetensors")
    parser.add_argument(
        "--precision", choices=["float32", "float16", "bfloat16"], default="float32",
        help="of the stored weights; default: float32",
    )  # fmt: skip
    parser.add_argument(
        "--stages", type=int, metavar="N",
        help="keep the first N stages of a network whose stages each restore the image (MAXIM); default: all",
    )  # fmt: skip
    add_weights_arguments(parser)
    add_plugin_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), debug=False)


def command(typed: argparse.Namespace) -> None:
    """Convert, and print what it was."""
    from basicsr.checkpoints.convert import convert_checkpoint
    from basicsr.utils.log import logger, open_log
    from basicsr.utils.plugins import load_plugins

    open_log(is_main=True)
    load_plugins(typed.plugins, "--plugin")
    summary = convert_checkpoint(
        typed.source,
        typed.output,
        typed.precision,
        typed.overwrite,
        typed.padding,
        typed.param_key,
        typed.stages,
    )
    logger().info(summary)
