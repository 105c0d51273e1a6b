"""Pack the folders of a split, or their crops, into LMDBs without compression, the fastest to train from.

They take three to four times the space of PNG files. Name the new folders in the option file, with
io_backend: {type: lmdb}.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} datasets/GoPro/train datasets/GoPro/train_store"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare store") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("split", type=typed_path, help="folder with target, input and masks, or their crops")
    parser.add_argument("output", type=typed_path, help="folder for the LMDBs, one per folder of the split")
    parser.add_argument("--workers", type=int, help="threads (default: one per core)")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.make_store import make_store

        for folder, count in make_store(typed.split, typed.output, typed.workers).items():
            print(shown(f"{typed.output / folder}: {count} entries, read back and compared"))

    run_command(command, debug=False)
