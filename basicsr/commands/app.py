"""Restore photos on a page in the browser, on this machine.

Uploads, masks and results are kept in a temporary folder, which is deleted at the end.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from basicsr.config.cli import (
    WeightsName,
    add_max_pixels_argument,
    add_plugin_argument,
    add_tile_argument,
    command_parser,
    run_command,
)
from basicsr.config.segmenter_choice import DEFAULT_SEGMENTER, add_segmenter_arguments, read_segmenter

EXAMPLES = """examples:
  {command}
  {command} --weights net_g_latest.pth --segmenter sam --model vit_b --checkpoint sam_vit_b_01ec64.pth"""


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur app") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument(
        "--weights", type=WeightsName, nargs="+", action="extend", default=[], metavar="FILE",
        help="weight files to choose from, beside those that are bundled or were fetched",
    )  # fmt: skip
    add_segmenter_arguments(parser.add_argument_group("masks to choose from, besides the classical ones"))
    how = parser.add_argument_group("how a photo runs through the network, as in 'sam-deblur restore'")
    add_tile_argument(how)
    how.add_argument(
        "--device", default="auto", help="auto (default: the first GPU, else CPU), cpu, cuda, cuda:1"
    )
    add_max_pixels_argument(how)
    page = parser.add_argument_group("the page")
    page.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine alone")
    page.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    page.add_argument(
        "--share", action="store_true",
        help="a public address, through a tunnel of Gradio's servers; photos pass through them",
    )  # fmt: skip
    page.add_argument("--max_upload", type=int, default=500, metavar="MB", help="per file; default: 500")
    add_plugin_argument(parser)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    typed = parser.parse_args(argv)
    run_command(lambda: serve(typed), typed.debug)


def serve(typed: argparse.Namespace) -> None:
    """Serve the page until a signal comes."""
    with tempfile.TemporaryDirectory(prefix="sam-deblur-app-") as name:
        folder = Path(name).resolve()
        # heavy imports only now, so that --help answers at once
        from basicsr.utils.extras import optional_import

        # Gradio reads these once, when it is imported.
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        optional_import("gradio", "sam-deblur app", "pip install 'sam-deblur[app]'")
        from basicsr.app.page import build_page, launch
        from basicsr.app.workshop import Setup, Workshop
        from basicsr.restoration.weights import find_weights
        from basicsr.utils.allocator import keep_freed_memory
        from basicsr.utils.log import logger, open_log
        from basicsr.utils.plugins import load_plugins

        open_log(True)
        keep_freed_memory()
        load_plugins(typed.plugins, "--plugin")
        for weights in typed.weights:
            find_weights(weights)
        segmenter = read_segmenter(typed)
        setup = Setup(
            folder,
            tuple(typed.weights),
            None if segmenter.name == "Graph" else segmenter,
            segmenter_words(typed),
            typed.rule,
            typed.tile,
            typed.device,
            typed.max_pixels,
        )
        page = build_page(Workshop(setup))
        address = launch(page, folder, typed.host, typed.port, typed.share, f"{typed.max_upload}mb")
        logger().info(f"the page is at {address}; Ctrl+C ends it")
        try:
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def segmenter_words(typed: argparse.Namespace) -> tuple[str, ...]:
    """What was typed for `basicsr.config.segmenter_choice.add_segmenter_arguments`, without the rule."""
    words = ["--segmenter", typed.segmenter or DEFAULT_SEGMENTER]
    for flag, value in (("--model", typed.model), ("--checkpoint", typed.checkpoint)):
        if value is not None:
            words += [flag, str(value)]
    if typed.options:
        words += ["--option", *typed.options]
    return tuple(words)
