"""Make a label map for each photo of a folder, with its subfolders.

A second run makes only what is missing. Several processes or machines share the photos with torchrun, or with
--shard 1/4, 2/4 and so on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import add_plugin_argument, command_parser, run_command
from basicsr.config.segmenter_choice import add_segmenter_arguments, read_segmenter
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} datasets/Mine/input datasets/Mine/grouped_masks
  {command} photos masks --option scale=200 min_size=50
  {command} photos masks --segmenter precomputed --option folder=made
  {command} photos masks --segmenter sam --model vit_h \\
      --checkpoint sam_vit_h_4b8939.pth --rule published --gray gray_masks
  torchrun --nproc_per_node 4 --no-python sam-deblur masks photos masks"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur masks") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("photos", type=typed_path, metavar="INPUT_DIR", help="photos, with subfolders")
    parser.add_argument(
        "output", type=typed_path, metavar="OUTPUT_DIR", help="gets <name>.png and manifest.json"
    )
    add_segmenter_arguments(parser)
    add_plugin_argument(parser)
    parser.add_argument(
        "--gray", type=typed_path, metavar="FOLDER",
        help="also write SAM-Deblur's gray mask images there, for networks with a mask channel",
    )  # fmt: skip
    parser.add_argument("--shard", metavar="I/N", help="make only part I (from 1) of N")
    parser.add_argument(
        "--workers", type=int, metavar="N",
        help="processes (default: one per core for graph, else 1)",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="make all masks again, also with other parameters"
    )
    parser.add_argument(
        "--debug", action="store_true", help="stop when the segmenter fails, with a traceback"
    )
    typed = parser.parse_args(argv)
    run_command(lambda: command(typed), typed.debug)


def command(typed: argparse.Namespace) -> None:
    """Check what was typed, load the segmenter, and make the masks of this process's shard."""
    from basicsr.preparation.masks.create import MaskJob, create_masks
    from basicsr.preparation.sharding import finish_together, read_shard, use_own_gpu
    from basicsr.utils.log import open_log
    from basicsr.utils.plugins import load_plugins

    shard, ranks = read_shard(typed.shard)
    open_log(ranks.is_main)
    load_plugins(typed.plugins, "--plugin")
    chosen = read_segmenter(typed)
    all_cores = chosen.name == "Graph" and ranks.world_size == 1
    workers = typed.workers if typed.workers is not None or all_cores else 1
    job = MaskJob(
        typed.photos, typed.output, typed.rule, typed.gray, shard, typed.overwrite, workers, typed.debug,
        progress=ranks.is_main,
    )  # fmt: skip
    use_own_gpu(ranks)
    finish_together(lambda: create_masks(job, chosen.build, chosen.name.lower()), ranks)
