"""Show the blur kernels that a preset makes, or those of a folder, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} kernels.png --preset realistic"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare show-kernels") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("output", type=typed_path, metavar="OUT.png")
    parser.add_argument("--preset", choices=["sbdd", "gopro", "realistic", "night"], default="realistic")
    parser.add_argument(
        "--kernels", type=typed_path, metavar="FOLDER", help=".mat, .npy or .png kernels instead"
    )
    parser.add_argument("--center_kernels", action="store_true", help="center those on their centroids")
    parser.add_argument("--count", type=int, default=64, help="kernels on the sheet (default: 64)")
    parser.add_argument("--seed", type=int, default=0)
    typed = parser.parse_args(argv)
    if typed.count < 1:
        parser.error(f"--count takes 1 or more, not {typed.count}")

    def command() -> None:
        from basicsr.preparation.pairs.show_kernels import show_kernels
        from basicsr.synthesis import PRESETS, KernelFolder

        rules = PRESETS[typed.preset]
        kernels = None
        if typed.kernels is not None:
            kernels = KernelFolder(typed.kernels, rules.kernel_size, typed.center_kernels)
        show_kernels(rules, typed.output, typed.count, typed.seed, kernels)
        print(shown(f"{typed.count} kernels in {typed.output}"))

    run_command(command, debug=False)
