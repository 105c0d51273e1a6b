"""Make the Demo data set from the photographs that scikit-image carries."""

from __future__ import annotations

import argparse
from pathlib import Path

from basicsr.config.cli import run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: python scripts/data_preparation/demo_dataset.py datasets/Demo"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "folder", nargs="?", type=typed_path, default=Path("datasets/Demo"), help="default: datasets/Demo"
    )
    folder = parser.parse_args().folder

    def command() -> None:
        from basicsr.recipes.demo_set import make_demo_dataset

        print(f"{make_demo_dataset(folder)} pairs in {folder}")

    run_command(command, debug=False)


if __name__ == "__main__":
    main()
