"""Make a label map for each photo of a folder, with its subfolders.

A second run makes only what is missing. Several processes or machines share the photos with torchrun, or with
--shard 1/4, 2/4 and so on.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from basicsr.config.cli import run_command

EXAMPLES = """examples:
  python scripts/data_preparation/create_masks.py datasets/Mine/input datasets/Mine/grouped_masks
  python scripts/data_preparation/create_masks.py photos masks --option scale=200 min_size=50
  python scripts/data_preparation/create_masks.py photos masks --segmenter precomputed --option folder=made
  python scripts/data_preparation/create_masks.py photos masks --segmenter sam --model vit_h \\
      --checkpoint sam_vit_h_4b8939.pth --rule published --grey grey_masks
  torchrun --nproc_per_node 4 scripts/data_preparation/create_masks.py photos masks"""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, metavar="INPUT_DIR", help="PNG, JPEG, WebP, TIFF or BMP")
    parser.add_argument("output", type=Path, metavar="OUTPUT_DIR", help="gets <name>.png and manifest.json")
    parser.add_argument(
        "--segmenter", default="graph", metavar="NAME",
        help="graph (default; classical, without weights, not SAM), sam, transformers or precomputed",
    )  # fmt: skip
    parser.add_argument("--model", help="short for --option model=...")
    parser.add_argument("--checkpoint", help="short for --option checkpoint=...")
    parser.add_argument(
        "--option", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="options",
        help="options of the segmenter",
    )  # fmt: skip
    parser.add_argument(
        "--rule", default="exact", choices=["exact", "smallest_on_top", "published"],
        help="what a pixel under several masks belongs to: a region for each combination of masks (default), "
        "the smallest mask, or SAM-Deblur's grey values, on masks of the photo as BGR",
    )  # fmt: skip
    parser.add_argument(
        "--grey", type=Path, metavar="FOLDER",
        help="also write SAM-Deblur's grey mask images there, for networks with a mask channel",
    )  # fmt: skip
    parser.add_argument("--shard", metavar="I/N", help="make only part I (from 1) of N")
    parser.add_argument(
        "--workers", type=int, metavar="N",
        help="processes (default: one a core for graph, else 1)",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="make all masks again, also with other parameters"
    )
    parser.add_argument(
        "--debug", action="store_true", help="stop when the segmenter fails, with a traceback"
    )
    typed = parser.parse_args()
    run_command(lambda: command(typed), typed.debug)


def command(typed: argparse.Namespace) -> None:
    """Check what was typed, load the segmenter, and make the masks of this process's shard."""
    from basicsr.preparation.choose_segmenter import check_options, find_segmenter, read_options
    from basicsr.preparation.create_masks import MaskJob, create_masks
    from basicsr.preparation.sharding import finish_together, read_shard, use_own_gpu
    from basicsr.utils.log import open_log
    from basicsr.utils.registry import SEGMENTERS

    shard, ranks = read_shard(typed.shard)
    open_log(ranks.is_main)
    name = find_segmenter(typed.segmenter)
    options = read_options(typed.options, {"model": typed.model, "checkpoint": typed.checkpoint})
    check_options(name, options)
    workers = typed.workers or (None if name == "Graph" and ranks.world_size == 1 else 1)
    job = MaskJob(
        typed.photos, typed.output, typed.rule, typed.grey, shard, typed.overwrite, workers, typed.debug
    )
    use_own_gpu(ranks)
    build = partial(SEGMENTERS.build, name, options)
    finish_together(lambda: create_masks(job, build, name.lower()), ranks)


if __name__ == "__main__":
    main()
