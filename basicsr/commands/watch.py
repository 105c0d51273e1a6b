"""Show how a training run is going: steps, time left, curves, and figures of validations.

On a terminal the view is updated every few seconds until the run is done or you press Ctrl-C; elsewhere it
is printed once. --page also keeps a page up to date, experiments/<name>/watch.html, with the curves and the
newest pictures of validations; open it in any browser. Nothing else is written.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence

from basicsr.config.cli import command_parser, run_command
from basicsr.utils.interruption import Interrupted
from basicsr.utils.typed_path import typed_path

EXAMPLES = """examples:
  {command} Demo-SegNAFNet
  {command} experiments/Demo-SegNAFNet --page"""
_CLEAR = "\x1b[H\x1b[2J"


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur watch") -> None:
    """Entry point."""
    parser = command_parser(called, __doc__, EXAMPLES)
    parser.add_argument("run", type=typed_path, metavar="NAME", help="of the experiment, or its folder")
    parser.add_argument("--page", action="store_true", help="also keep a page for a browser up to date")
    parser.add_argument(
        "--every", type=_seconds, default=5.0, metavar="SECONDS", help="between two views (default: 5)"
    )
    parser.add_argument("--once", action="store_true", help="show it once")
    typed = parser.parse_args(argv)

    def command() -> None:
        from basicsr.config.paths import EXPERIMENTS, ExperimentPaths
        from basicsr.reporting.progress import read_progress, to_text
        from basicsr.reporting.progress_page import write_progress_page
        from basicsr.utils.display import Lines

        named = EXPERIMENTS / typed.run
        paths = ExperimentPaths(named if named.is_dir() else typed.run)
        is_live = sys.stdout.isatty() and not typed.once

        def view() -> bool:
            """Show it once; whether there will be more to show."""
            progress = read_progress(paths)
            page = f"\n\npage: {paths.watched}" if typed.page else ""
            if typed.page:
                write_progress_page(paths.watched, progress, typed.every)
            size = shutil.get_terminal_size()
            is_plain = "utf" not in (sys.stdout.encoding or "").lower()
            text = to_text(progress, size.columns, size.lines - 2 * typed.page - 1, is_plain)
            print(f"{_CLEAR if is_live else ''}{Lines(text + page).shown}", flush=True)
            return is_live and not progress.is_done

        try:
            while view():
                time.sleep(typed.every)
        except Interrupted as interrupted:
            if interrupted.number != signal.SIGINT:
                raise

    run_command(command, debug=False)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"expected 0.1 to 3600 seconds (got {text!r})")
    return value
