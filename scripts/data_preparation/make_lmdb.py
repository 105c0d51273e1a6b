"""Put a folder of images, label maps or published npz stacks into one LMDB; keys are file stems."""

from __future__ import annotations

import argparse

from basicsr.config.cli import run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: python scripts/data_preparation/make_lmdb.py datasets/REDS/val/input reds_input.lmdb"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "source", type=typed_path, help="folder; in subfolders, keys are paths like clip/000001"
    )
    parser.add_argument("target", type=typed_path, help="LMDB folder to make")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    typed = parser.parse_args()

    def command() -> None:
        from basicsr.preparation.layouts.make_lmdb import make_lmdb

        print(f"{typed.target}: {make_lmdb(typed.source, typed.target, typed.workers)} entries")

    run_command(command, debug=False)


if __name__ == "__main__":
    main()
