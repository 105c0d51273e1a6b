"""Write random weights of a VGG, in torchvision's form: a stand-in where the trained ones are not at hand.

Normal numbers that keep the scale of features from layer to layer (He et al., ICCV 2015), and biases of 0.
Such features tell colors and edges apart, but were never trained on the content of photos: figures obtained
with them have to state this.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from basicsr.checkpoints.weights import save_contents
from basicsr.config.cli import run_command
from basicsr.layers.pretrained import VggType, random_vgg
from basicsr.utils.errors import UserError
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: python scripts/random_vgg.py weights/vgg19-random.pth"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=typed_path, metavar="FILE", help="is not overwritten")
    parser.add_argument("--vgg_type", choices=get_args(VggType), default="vgg19", help="default: vgg19")
    parser.add_argument(
        "--layer", default="relu3_4", help="the deepest one that is going to be asked for; default: relu3_4"
    )
    parser.add_argument("--seed", type=int, default=0, help="equal seeds make equal weights; default: 0")
    typed = parser.parse_args()
    run_command(lambda: command(typed.output, typed.vgg_type, typed.layer, typed.seed), debug=False)


def command(output: Path, vgg_type: VggType, layer: str, seed: int) -> None:
    """Write the file.

    Raises:
        UserError: it is there already, or there is no such layer.
    """
    if output.exists():
        raise UserError(f"{output}: exists already; remove it, or take another name")
    save_contents(output, random_vgg(vgg_type, layer, seed))
    print(f"{output}: random weights of {vgg_type} up to {layer}, seed {seed}")


if __name__ == "__main__":
    main()
