"""What the comparison of rows is asked to do. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from basicsr.config.paths import RESULTS
from basicsr.utils.typed_path import typed_path

ROWS = {"NAFNet": "w/o SAM", "MaskNAFNet": "CAT", "SegNAFNet-MAP": "MAP", "SegNAFNet": "Ours"}
"""Option files and what the paper calls their rows, in its order."""

_ABOUT = """Train the four rows of the paper on one budget, test them, and compare them in one table.

Every row is trained once with each seed, by train.py on options/train/<group>/<row>.yml, as the experiment
<group>-<row>-seed<seed>, and tested by test.py on options/test/<group>/<row>.yml. The output folder gets
table.md and table.json with means and standard deviations over the seeds, report.html, which compares the
pictures of the rows with the first seed, and what the runs said (logs/).

The command can be stopped at any time and started again. A training goes on from its newest checkpoint, and
is left alone once it has its iterations; it is refused where it was begun with other options. A test is left
alone while its results are newer than its weights and its options are the same."""

_EXAMPLE = """example:
  python scripts/train_rows.py --seeds 0 \\
      --set train.total_iter=1000 train.scheduler.T_max=1000 datasets.train.gt_size=96"""


@dataclass(frozen=True)
class RowsJob:
    """Rows to train and test.

    Args:
        group: folder of the option files, below ``options/train`` and ``options/test``.
        rows: names of option files, some of `ROWS`.
        seeds: each row is trained once with each.
        training, testing: ``key=value`` overrides.
        jobs: runs at the same time.
        output: folder of the tables, the page and the logs.
        debug: show tracebacks.
    """

    group: str
    rows: list[str]
    seeds: list[int]
    training: list[str]
    testing: list[str]
    jobs: int
    output: Path
    debug: bool


def read_job(argv: Sequence[str] | None = None) -> RowsJob:
    """Read the command line; exits with 2 on a mistake."""
    parser = argparse.ArgumentParser(
        description=_ABOUT, epilog=_EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--group", default="Small", help="folder of the option files (default: Small)")
    parser.add_argument(
        "--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW",
        help=f"some of {', '.join(ROWS)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED",
        help="manual_seed of the trainings (default: 0 1 2)",
    )  # fmt: skip
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="training",
        help="override options of every training, e.g. --set train.total_iter=1000",
    )  # fmt: skip
    parser.add_argument(
        "--test_set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="testing",
        help="override options of every test; what --set changes in network_g belongs here as well",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=_count, default=1, metavar="N",
        help="runs at the same time (default: 1), each with its share of the cores unless OMP_NUM_THREADS "
        "says how many",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=typed_path, metavar="DIR", help=f"(default: {RESULTS}/<group>-rows)"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    typed = parser.parse_args(argv)
    return RowsJob(
        group=typed.group,
        rows=[row for row in ROWS if row in typed.rows],
        seeds=list(dict.fromkeys(typed.seeds)),
        training=typed.training,
        testing=typed.testing,
        jobs=typed.jobs,
        output=typed.output or RESULTS / f"{typed.group}-rows",
        debug=typed.debug,
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1 (got {text})")
    return number
