"""Make blurred and sharp pairs from sharp photos, with or without objects that move on their own.

A second run makes only what is missing. Each pair depends only on the seed, the name of its photo and
its number.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} --sharp photos --labels masks --out datasets/Mine/train
  {command} --sharp photos --out pairs --uniform --n 3 --preset gopro
  {command} --sharp photos --out pairs --segmenter graph
  {command} --sharp photos --labels detectron2 --out pairs \\
      --preset sbdd --kernels kernels"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur prepare synthesize") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("--sharp", type=typed_path, required=True, metavar="DIR", help="sharp photos")
    parser.add_argument(
        "--out", type=typed_path, required=True, metavar="DIR",
        help="gets input, target, grouped_masks, manifest.json and params.jsonl",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=typed_path, metavar="DIR",
        help="masks named like the photos: label maps, SAM-Deblur's masks, or .npz of Detectron2",
    )  # fmt: skip
    parser.add_argument(
        "--segmenter", choices=["graph"],
        help="find the regions instead; without this and --labels the whole photo moves alike",
    )  # fmt: skip
    parser.add_argument("--uniform", action="store_true", help="the whole photo moves alike")
    parser.add_argument("--n", type=int, default=10, metavar="N", help="pairs per photo (default: 10)")
    parser.add_argument("--preset", choices=["sbdd", "gopro", "realistic", "night"], default="realistic")
    parser.add_argument(
        "--motion", choices=["shake", "linear", "random_walk"], help="of the camera (default: the preset's)"
    )
    parser.add_argument(
        "--exposure", type=float, nargs=2, metavar="SECONDS",
        help="shortest and longest: how strong the blur of shake is (default: the preset's)",
    )  # fmt: skip
    parser.add_argument(
        "--max_objects", type=int, metavar="N", help="objects that move (default: the preset's)"
    )
    parser.add_argument(
        "--min_object_area", type=int, metavar="PIXELS", help="of an object (default: the preset's)"
    )
    parser.add_argument(
        "--kernels",
        type=typed_path,
        metavar="FOLDER",
        help="draw from these .mat, .npy or .png kernels instead",
    )
    parser.add_argument("--center_kernels", action="store_true", help="center those on their centroids")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="make all pairs again, even by other rules")
    typed = parser.parse_args(argv)
    for name, least in (("n", 1), ("max_objects", 0), ("min_object_area", 0), ("seed", 0), ("workers", 1)):
        value = getattr(typed, name)
        if value is not None and value < least:
            parser.error(f"--{name} takes {least} or more, not {value}")
    if typed.exposure is not None and not 0 < typed.exposure[0] <= typed.exposure[1]:
        parser.error("--exposure takes two times above 0, the shorter first")
    if typed.labels is not None and typed.segmenter is not None:
        parser.error("--segmenter finds what --labels has; leave one of them out")
    run_command(lambda: command(typed), debug=False)


def command(typed: argparse.Namespace) -> None:
    """Make the pairs."""
    from basicsr.preparation.pairs.synthesize_blur import SynthesisJob, synthesize_blur
    from basicsr.synthesis import PRESETS
    from basicsr.utils.log import open_log

    open_log(True)
    most = 0 if typed.uniform else typed.max_objects
    exposure = None if typed.exposure is None else (typed.exposure[0], typed.exposure[1])
    rules = PRESETS[typed.preset].adapted(most, typed.min_object_area, typed.motion, exposure)
    job = SynthesisJob(
        typed.sharp,
        typed.out,
        rules,
        typed.labels,
        typed.segmenter == "graph",
        typed.n,
        typed.seed,
        typed.kernels,
        typed.center_kernels,
        typed.workers,
        typed.overwrite,
    )
    synthesize_blur(job)
