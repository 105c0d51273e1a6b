"""Put a folder of images, label maps or published npz stacks into one LMDB; keys are file stems."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} datasets/REDS/val/input reds_input.lmdb"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare lmdb") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument(
        "source", type=typed_path, help="folder; in subfolders, keys are paths like clip/000001"
    )
    parser.add_argument("target", type=typed_path, help="LMDB folder to make")
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.make_lmdb import make_lmdb

        print(shown(f"{typed.target}: {make_lmdb(typed.source, typed.target, typed.workers)} entries"))

    run_command(command, debug=False)
