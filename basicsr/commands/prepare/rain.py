"""Bring a download of a deraining set into the standard layout.

Rain200L and Rain200H, Rain1400 (DDN), DID, and Cityscapes with the rain of 100 or 200 mm an hour. Clean and
rainy images are recognized by the names of their folders; the official pictures of DID, which hold both
images side by side, are cut and written as PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLE = """examples:
  {command} Rain200L ~/downloads/Rain200L
  {command} Rain1400 ~/downloads/rainy_image_dataset datasets/DDN"""
SETS = ["Rain200L", "Rain200H", "Rain1400", "DID", "CityscapesRain100", "CityscapesRain200"]


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare rain") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("set", choices=SETS, metavar="SET", help=f"one of {', '.join(SETS)}")
    parser.add_argument("downloaded", type=typed_path, help="folder of the unpacked download")
    parser.add_argument("target", nargs="?", type=typed_path, help="default: datasets/SET")
    parser.add_argument(
        "--link", choices=["symlink", "hardlink", "copy"], default="symlink", help="default: symlink"
    )
    parser.add_argument(
        "--rainy", choices=["left", "right"], default="left",
        help="the rainy half of pictures that are cut (default: left)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, help="processes that cut pictures (default: one per core)")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.preparation.layouts.cut_halves import cut_halves
        from basicsr.preparation.layouts.place_pairs import place_pairs
        from basicsr.preparation.layouts.published_by_words import halved_pictures, splits_by_words
        from basicsr.utils.folders import require_outside

        target = typed.target or Path("datasets") / typed.set
        require_outside(target, typed.downloaded)
        pictures = halved_pictures(typed.downloaded) if typed.set == "DID" else {}
        if pictures:
            placed = cut_halves(typed.set, pictures, target, typed.rainy, typed.workers)
        else:
            splits = splits_by_words(typed.set, typed.downloaded)
            placed = place_pairs(typed.set, typed.set, splits, target, typed.link)
        print(placed.text())

    run_command(command, debug=False)
