"""Make the data of the Small option files: synthesized blur, real pairs, masks, crops for training.

Files that are there are kept, so an interrupted run continues.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.display import shown
from basicsr.utils.typed_path import typed_path

EXAMPLE = """example:
  {command} datasets/Small \\
      --photos BSDS500/train --labels BSDS500/train_labels --more_photos kodak/train \\
      --val_photos kodak/val --held_photos kodak/test --pairs GoPro/GOPR0372_07_00=4 REDS/train=24 \\
      --val_pairs reds=REDS/val --held_pairs gopro=GoPro/held reds=REDS/held"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare small-set") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLE)
    parser.add_argument("output", type=typed_path, metavar="OUT", help="e.g. datasets/Small")
    parser.add_argument("--photos", type=typed_path, required=True, metavar="DIR", help="sharp photos")
    parser.add_argument(
        "--labels", type=typed_path, required=True, metavar="DIR", help="their outlines, label maps"
    )
    parser.add_argument("--val_photos", type=typed_path, metavar="DIR", help="sharp photos to validate on")
    parser.add_argument(
        "--held_photos", type=typed_path, required=True, metavar="DIR", help="sharp photos to test on"
    )
    parser.add_argument("--more_photos", type=typed_path, metavar="DIR", help="sharp photos without outlines")
    parser.add_argument(
        "--pairs", nargs="+", default=[], metavar="DIR=TIMES",
        help="real pairs, folders with input and target, and how often an epoch shows each of their crops",
    )  # fmt: skip
    parser.add_argument(
        "--val_pairs", nargs="+", default=[], metavar="NAME=DIR", help="real pairs to validate on, by name"
    )
    parser.add_argument(
        "--held_pairs", nargs="+", default=[], metavar="NAME=DIR", help="real pairs to test on, by name"
    )
    parser.add_argument(
        "--kinds", nargs="+", metavar="KIND",
        help="of synthesized blur, some of uniform, objects, realistic, mild, soft, clips, softclips, "
        "trails, passing, followed, lights and phone (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--whole", action="store_true",
        help="train on whole pairs, for gt_size above 192 (default: crops of 192 pixels); "
        "OUT should be new, as files that are there are kept",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.recipes.small_set import SmallSet, make_small_set
        from basicsr.utils.log import open_log

        open_log(True)
        pairs = {}
        for text in typed.pairs:
            folder, _, times = text.rpartition("=")
            if not folder or not times.isdecimal() or int(times) < 1:
                parser.error(f"--pairs takes DIR=TIMES, such as pairs/gopro=4, not {text}")
            pairs[typed_path(folder)] = int(times)
        job = SmallSet(
            output=typed.output,
            photos=typed.photos,
            labels=typed.labels,
            val_photos=typed.val_photos,
            held_photos=typed.held_photos,
            more_photos=typed.more_photos,
            pairs=pairs,
            val_pairs=_named_folders(parser, "--val_pairs", typed.val_pairs),
            held_pairs=_named_folders(parser, "--held_pairs", typed.held_pairs),
            kinds=typed.kinds,
            whole=typed.whole,
            workers=typed.workers,
        )
        for split, number in make_small_set(job).items():
            print(shown(f"{typed.output / split}: {number} images"))

    run_command(command, debug=False)


def _named_folders(parser: ArgumentParser, option: str, texts: Sequence[str]) -> dict[str, Path]:
    """``NAME=DIR`` each."""
    folders = {}
    for text in texts:
        name, _, folder = text.partition("=")
        is_taken = name in ("train", "parts", "synthetic") or name.startswith("val_")
        if not name or not folder or "/" in name or is_taken:
            parser.error(f"{option} takes NAME=DIR, such as gopro=pairs/gopro, not {text}")
        folders[name] = typed_path(folder)
    return folders
