"""Bring the official GOPRO_Large into the standard layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} ~/downloads/GOPRO_Large datasets/GoPro"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare gopro") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("downloaded", type=typed_path, help="folder of the unpacked download")
    parser.add_argument(
        "target", nargs="?", type=typed_path, default=Path("datasets/GoPro"), help="default: datasets/GoPro"
    )
    parser.add_argument(
        "--blur", choices=["blur", "blur_gamma"], default="blur",
        help="which blurred images: mean of the original frames, or of the frames in linear light",
    )  # fmt: skip
    parser.add_argument(
        "--link", choices=["symlink", "hardlink", "copy"], default="symlink", help="default: symlink"
    )
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.place_pairs import place_pairs
        from basicsr.preparation.layouts.published import gopro_splits
        from basicsr.utils.folders import require_outside

        require_outside(typed.target, typed.downloaded)
        splits = gopro_splits(typed.downloaded, typed.blur)
        print(place_pairs("GoPro", typed.blur, splits, typed.target, typed.link).text())

    run_command(command, debug=False)
