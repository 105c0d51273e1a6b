"""Bring the official ReLoBlur into the standard layout."""

from __future__ import annotations

import argparse
from pathlib import Path

from basicsr.config.cli import run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: python scripts/data_preparation/reloblur.py ~/downloads/ReLoBlur datasets/ReLoBlur"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument("downloaded", type=typed_path, help="folder of the unpacked download")
    parser.add_argument(
        "target",
        nargs="?",
        type=typed_path,
        default=Path("datasets/ReLoBlur"),
        help="default: datasets/ReLoBlur",
    )
    parser.add_argument(
        "--link", choices=["symlink", "hardlink", "copy"], default="symlink", help="default: symlink"
    )
    typed = parser.parse_args()

    def command() -> None:
        from basicsr.preparation.layouts.place_pairs import place_pairs
        from basicsr.preparation.layouts.published import reloblur_splits
        from basicsr.utils.folders import require_outside

        require_outside(typed.target, typed.downloaded)
        splits = reloblur_splits(typed.downloaded)
        print(place_pairs("ReLoBlur", "blur", splits, typed.target, typed.link).text())

    run_command(command, debug=False)


if __name__ == "__main__":
    main()
