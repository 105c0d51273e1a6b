"""Fit the parameters of the metric NIQE to a folder of pristine photos.

Scores of two fits are not comparable to each other, nor to published ones, which need the published
parameter file.
"""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} datasets/GoPro/train/target datasets/niqe.npz"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur fit-niqe") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("photos", type=typed_path, metavar="DIR", help="folder of sharp, noise-free photos")
    parser.add_argument("output", type=typed_path, metavar="FILE", help=".npz to write")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    typed = parser.parse_args(argv)

    if typed.output.suffix != ".npz":
        parser.error(f"FILE has to end with .npz (got {typed.output})")

    def command() -> None:
        from basicsr.protocols.fit_niqe import fit_niqe

        count = fit_niqe(typed.photos, typed.output, typed.overwrite, typed.workers)
        print(shown(f"{typed.output}: fitted to {count} photos"))

    run_command(command, debug=False)
