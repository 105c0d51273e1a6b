"""Cut the images and label maps of a split, or of any folder, into overlapping windows for training."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = "example: {command} datasets/GoPro/train"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare crops") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument(
        "source", type=typed_path, help="split with target, input and masks, or a folder of images"
    )
    parser.add_argument(
        "output",
        nargs="?",
        type=typed_path,
        help="for a split, default: the split itself; for a folder, needed",
    )
    parser.add_argument("--size", type=int, default=512, help="side of the windows in pixels (default: 512)")
    parser.add_argument("--step", type=int, default=256, help="from window to window (default: 256)")
    parser.add_argument(
        "--relabel", action="store_true",
        help="number the regions of each label map crop 1..K; marks a folder as label maps",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.crop_patches import CropWindows, crop_folder, crop_split

        windows = CropWindows(typed.size, typed.step, typed.relabel)
        is_split = any((typed.source / name).is_dir() for name in ("target", "input"))
        if typed.output is None and not is_split:
            parser.error(f"{typed.source} has no folders target and input; name the OUTPUT folder too")
        crop = crop_split if is_split else crop_folder
        output = typed.output or typed.source
        count = crop(typed.source, output, windows, typed.workers)
        crops = f"{count.written} crops written, {count.kept} there already"
        print(shown(f"{output}: {count.images} images, {crops}"))

    run_command(command, debug=False)
