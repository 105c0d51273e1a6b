"""Bring a download of a denoising set into the standard layout.

SIDD, as photos or as patches in input and groundtruth, and SenseNoise. Clean and noisy images are recognized
by the names of their folders or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} SIDD ~/downloads/SIDD_patches"
SETS = ["SIDD", "SenseNoise"]


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare noise") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("set", choices=SETS, metavar="SET", help=f"one of {', '.join(SETS)}")
    parser.add_argument("downloaded", type=typed_path, help="folder of the unpacked download")
    parser.add_argument("target", nargs="?", type=typed_path, help="default: datasets/SET")
    parser.add_argument(
        "--link", choices=["symlink", "hardlink", "copy"], default="symlink", help="default: symlink"
    )
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.place_pairs import place_pairs
        from basicsr.preparation.layouts.published_by_words import splits_by_words
        from basicsr.utils.folders import require_outside

        target = typed.target or Path("datasets") / typed.set
        require_outside(target, typed.downloaded)
        splits = splits_by_words(typed.set, typed.downloaded)
        print(place_pairs(typed.set, typed.set, splits, target, typed.link).text())

    run_command(command, debug=False)
