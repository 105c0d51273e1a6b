"""Compare two folders of images by the Fréchet distance of Inception features (FID).

Names need not pair. The weights are a local file: that of pytorch-fid gives figures as published,
torchvision's inception_v3 gives others.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = """example:
  {command} results/mine datasets/Rain200L/test/target \\
      --weights pt_inception-2015-12-05-6726825d.pth -o results/mine-fid"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur evaluate fid") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("restored", type=typed_path, help="folder of the restored photos")
    parser.add_argument("sharp", type=typed_path, help="folder of the photos that they should look like")
    parser.add_argument(
        "-o", "--output", type=typed_path, required=True, metavar="DIR",
        help="gets metrics.json and metrics.csv",
    )  # fmt: skip
    parser.add_argument("--weights", type=typed_path, required=True, metavar="FILE", help="Inception v3")
    parser.add_argument(
        "--device", default="auto", help="as PyTorch writes it (default: a GPU if there is one)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.protocols.fid import evaluate_fid
        from basicsr.utils.log import open_log

        open_log(is_main=True)
        evaluate_fid(typed.restored, typed.sharp, typed.output, typed.weights, typed.device, typed.overwrite)

    run_command(command, debug=False)
