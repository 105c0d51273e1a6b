"""Write a trained network as an ONNX file for images of any size, checked with onnxruntime against PyTorch.

Networks that take label maps get them as second input, `labels`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import add_plugin_argument, add_weights_arguments, command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.errors import UserError
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} experiments/Demo-SegNAFNet/models/net_g_latest.pth seg_nafnet.onnx
  {command} NAFNet-GoPro-width64.pth nafnet.onnx --local"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur export") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "weights", type=typed_path, metavar="WEIGHTS", help="own or published, .pth or .safetensors"
    )
    parser.add_argument("output", type=typed_path, metavar="OUT.onnx")
    parser.add_argument(
        "--local", action=argparse.BooleanOptionalAction,
        help="pool locally (TLC) or globally (default: as stored in the weights; published ones globally)",
    )  # fmt: skip
    add_weights_arguments(parser)
    add_plugin_argument(parser)
    parser.add_argument("--opset", type=int, metavar="N", help="version of ONNX's operators, 18 or later")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.onnx")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), typed.debug)


def command(typed: argparse.Namespace) -> None:
    """Check what was typed and export."""
    if typed.output.exists() and not typed.overwrite:
        raise UserError(f"{typed.output}: exists; choose another name, or replace it with --overwrite")
    from basicsr.restoration.onnx_export import export_onnx
    from basicsr.utils.plugins import load_plugins

    load_plugins(typed.plugins, "--plugin")
    print(
        shown(
            export_onnx(typed.weights, typed.output, typed.local, typed.opset, typed.padding, typed.param_key)
        )
    )
