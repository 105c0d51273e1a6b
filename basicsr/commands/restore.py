"""Restore photos, videos and folders of both.

Masks are made on the fly if the network takes them. Photos keep their type, depth, alpha, orientation, EXIF
and color profile; videos their sound and their frame rate.
"""

from __future__ import annotations

import argparse
import json
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from basicsr.config.cli import (
    WeightsName,
    add_max_pixels_argument,
    add_plugin_argument,
    add_tile_argument,
    add_weights_arguments,
    command_parser,
    run_command,
)
from basicsr.config.segmenter_choice import add_segmenter_arguments, read_segmenter
from basicsr.utils.errors import UserError
from basicsr.utils.pixel_limit import PixelLimit
from basicsr.utils.typed_path import expand, typed_path

EXAMPLES = """examples:
  {command} -i photo.jpg -o out/
  {command} -i photos/ -o out/ --weights W.pth --segmenter sam --model vit_b \\
      --checkpoint sam_vit_b_01ec64.pth
  {command} -i photo.jpg -o out/ --weights maxim-deblurring
  {command} -i photos/ -o out/ --labels masks/ --save_masks seen/
  {command} -i trip/*.jpg more_photos/ -o out/
  {command} -i clip.mp4 -o clip_sharp.mp4
  {command} -i photo.jpg -o clip.mp4 --frames 7 --weights Jin.pth"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur restore") -> None:
    """Entry point."""
    typed = parse(argv, called)
    run_command(lambda: infer(typed), typed.debug)


def parse(argv: Sequence[str] | None = None, called: str = "sam-deblur restore") -> argparse.Namespace:
    """Read the command line; exits with 2 on a mistake."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "-i", "--input", type=typed_path, nargs="+", action="extend", required=True,
        metavar="INPUT", dest="inputs", help="photos, videos, folders of both",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=expand, required=True,
        help="folder, or file for a single file; another suffix converts, e.g. to .png",
    )  # fmt: skip
    parser.add_argument(
        "--weights", type=WeightsName, metavar="FILE",
        help="auto (default): MAXIM-1S for photos; SegNAFNet, which takes a fifth of the time, for videos "
        "and where masks are asked for (both are bundled); maxim-deblurring: removes the strongest blur, far "
        "slower, fetched once by 'sam-deblur weights get'; other short names: 'sam-deblur weights list'; or "
        "a file: own checkpoint, published weights of a known network, .onnx",
    )  # fmt: skip
    masks = parser.add_argument_group("masks, for networks that take them")
    add_segmenter_arguments(masks)
    masks.add_argument(
        "--labels", type=typed_path, metavar="FOLDER",
        help="masks that were made before, named like the photos; short for --segmenter precomputed",
    )  # fmt: skip
    masks.add_argument("--no_masks", action="store_true", help="use no masks, as if nothing had been found")
    masks.add_argument(
        "--only", type=_place, nargs="+", action="extend", default=[], metavar="X,Y",
        help="restore only the regions at these pixels, counted from the upper left corner",
    )  # fmt: skip
    masks.add_argument(
        "--save_masks", type=typed_path, metavar="FOLDER", help="write label maps and overlays there"
    )
    how = parser.add_argument_group("how a photo runs through the network")
    how.add_argument(
        "--no_cache", action="store_true",
        help="find masks again, and check again for --amp auto; do not cache either",
    )  # fmt: skip
    add_tile_argument(how)
    how.add_argument("--overlap", type=int, default=64, metavar="N", help="of tiles, in pixels; default: 64")
    how.add_argument(
        "--local", action=argparse.BooleanOptionalAction, default=None,
        help="local pooling (TLC), or none; default: as stored in the weights",
    )  # fmt: skip
    add_weights_arguments(how)
    how.add_argument(
        "--ensemble", action="store_true", help="average of 8 mirrored and turned copies; 8x time"
    )
    how.add_argument(
        "--guard", default="retry", choices=["off", "keep", "input", "retry"],
        help="where the result collapsed: report it (keep), put the input back (input), or try "
        "another way first (retry, default)",
    )  # fmt: skip
    how.add_argument(
        "--strength", type=float, default=1.0, metavar="S",
        help="share of the result in its blend with the photo, 0 to 1; default: 1",
    )  # fmt: skip
    how.add_argument(
        "--amp", default="auto", choices=["auto", "off", "bf16", "fp16"],
        help="precision of the network; auto (default): bf16 where the processor has it and a check finds "
        "the result within 0.02 dB of float32 (off)",
    )  # fmt: skip
    how.add_argument(
        "--device", default="auto", help="auto (default: the first GPU, else CPU), cpu, cuda, cuda:1"
    )
    parser.add_argument(
        "--quality",
        type=int,
        choices=range(101),
        metavar="N",
        default=95,
        help="of JPEG and WebP, 0 to 100; default: 95",
    )
    add_max_pixels_argument(parser)
    clips = parser.add_argument_group("clips, of networks that make several frames of a photo")
    clips.add_argument(
        "--frames", type=int, metavar="N",
        help="per photo or video frame; default: all that the network makes",
    )  # fmt: skip
    clips.add_argument("--fps", type=float, default=10, help="of a clip of a photo; default: 10")
    clips.add_argument(
        "--order_weights", type=typed_path, metavar="FILE",
        help="an ordering network, which decides the direction of time within each frame of a video; without "
        "it neighbors are matched",
    )  # fmt: skip
    parser.add_argument(
        "--crf", type=int, default=16, help="of video, 0 to 51, smaller is better; default: 16"
    )
    add_plugin_argument(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--debug", action="store_true", help="stop at the first error, with a traceback")
    return parser.parse_args(argv)


def infer(typed: argparse.Namespace) -> None:
    """Check what was typed, load network and segmenter, restore."""
    # heavy imports only now, so that --help answers at once
    from basicsr.restoration import RestoreOptions, Restorer
    from basicsr.restoration.folder import RestoreJob, restore_all
    from basicsr.restoration.items import find_items, require_own_masks
    from basicsr.restoration.regions import RegionFinder, default_cache
    from basicsr.restoration.weights import find_weights, load_ordering
    from basicsr.segmenters import Empty
    from basicsr.utils.allocator import keep_freed_memory
    from basicsr.utils.log import logger, open_log
    from basicsr.utils.plugins import load_plugins
    from basicsr.utils.user_cache import user_cache

    open_log(True)
    keep_freed_memory()
    load_plugins(typed.plugins, "--plugin")
    if typed.labels is not None:
        # in quotes, as the value is read as YAML
        typed.segmenter, typed.options = "precomputed", [f"folder={json.dumps(str(typed.labels))}"]
    if typed.only and typed.no_masks:
        raise UserError("--only: needs regions; leave --no_masks out")
    speaks_of_regions = any((typed.segmenter, typed.only, typed.no_masks, typed.save_masks))
    chosen = read_segmenter(typed)
    is_folder = len(typed.inputs) > 1 or typed.inputs[0].is_dir() or names_folder(typed.output)
    # mistakes in the paths come before anything is loaded
    items = find_items(typed.inputs, Path(typed.output), is_folder, typed.overwrite)
    if typed.save_masks is not None:
        require_own_masks(items, typed.save_masks, typed.inputs)
    job = RestoreJob(
        output=Path(typed.output),
        is_folder=is_folder,
        overwrite=typed.overwrite,
        save_masks=typed.save_masks,
        quality=typed.quality,
        crf=typed.crf,
        frames=typed.frames,
        fps=typed.fps,
        debug=typed.debug,
        limit=PixelLimit(typed.max_pixels, "cut it into parts, or raise --max_pixels"),
        only=tuple(typed.only),
    )
    options = RestoreOptions(
        typed.tile,
        typed.overlap,
        typed.ensemble,
        typed.guard,
        typed.amp,
        typed.device,
        progress=True,
        strength=typed.strength,
        cache=None if typed.no_cache else user_cache("precision"),
    )
    weights = find_weights(typed.weights, speaks_of_regions or any(item.is_video for item in items))
    restorer = Restorer.from_checkpoint(weights, options, typed.local, typed.padding, typed.param_key)
    facts = {"Weights": str(weights), "Network": type(restorer.net).__name__}
    finder = None
    if typed.only or restorer.wants_labels or restorer.wants_mask:
        segmenter = Empty() if typed.no_masks else chosen.build()
        finder = RegionFinder(segmenter, typed.rule, None if typed.no_cache else default_cache())
        found = f"{chosen.name.lower()}, {segmenter.facts()['method']}; rule {typed.rule}"
        facts["Masks"] = "none" if typed.no_masks else found
        logger().info(f"masks: {facts['Masks']}")
    ordering = None if typed.order_weights is None else load_ordering(typed.order_weights, restorer.device)
    restore_all(items, replace(job, facts=tuple(facts.items())), restorer, finder, ordering)


def names_folder(output: str) -> bool:
    """Whether what was typed for an output means a folder: it is one, ends like one, or has no suffix."""
    return Path(output).is_dir() or output.endswith(("/", "\\")) or not Path(output).suffix


def _place(typed: str) -> tuple[int, int]:
    x, comma, y = typed.partition(",")
    if not (comma and x.isdecimal() and y.isdecimal()):
        raise ArgumentTypeError(f"expected X,Y in pixels, such as 120,80 (got {typed})")
    return int(x), int(y)
