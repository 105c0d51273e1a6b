"""Bring the official RealBlur into the standard layout, by its list files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} ~/downloads/RealBlur datasets/RealBlurJ"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare realblur") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("downloaded", type=typed_path, help="folder of the unpacked download")
    parser.add_argument(
        "target", nargs="?", type=typed_path, help="default: datasets/RealBlurJ or datasets/RealBlurR"
    )
    parser.add_argument(
        "--set", choices=["J", "R"], default="J", dest="camera",
        help="J: images of the camera (default); R: its raw images",
    )  # fmt: skip
    parser.add_argument(
        "--link", choices=["symlink", "hardlink", "copy"], default="symlink", help="default: symlink"
    )
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.place_pairs import place_pairs
        from basicsr.preparation.layouts.published import realblur_splits
        from basicsr.utils.folders import require_outside

        kind = f"RealBlur{typed.camera}"
        target = typed.target or Path("datasets") / kind
        require_outside(target, typed.downloaded)
        splits = realblur_splits(typed.downloaded, typed.camera)
        print(place_pairs("RealBlur", kind, splits, target, typed.link).text())

    run_command(command, debug=False)
