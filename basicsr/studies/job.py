"""The job of a study. Imports nothing heavy, so that ``--help`` is fast."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from basicsr.config.cli import command_parser
from basicsr.config.option_files import OPTIONS
from basicsr.config.paths import RESULTS
from basicsr.utils.typed_path import typed_path

PAPER_ROWS = Path("options/studies/paper_rows.yml")

_ABOUT = """Train the rows of a study on one budget, test them, and compare them in one table.

A study is a small YAML file that names rows with their option files and overrides, and seeds. Every row is
trained once with each seed, by train.py, as the experiment <group>-<row>-seed<seed>, and tested by test.py; a
row that names weights is only tested. The budget is the iterations of the option files, or minutes.
The output folder gets table.md and table.json with the cost of each network and the means and standard
deviations over the seeds, report.html, which compares the pictures of the rows with the first seed, and the
output of the runs (logs/).

The command can be stopped at any time and started again. A training continues from its newest checkpoint, and
is skipped once it is complete; it is rejected if it was started with other options. A test is skipped while
its results are newer than its weights and its options are the same."""

_EXAMPLE = """examples:
  {command} --seeds 0 \\
      --set train.total_iter=1000 train.scheduler.T_max=1000 datasets.train.gt_size=96
  {command} options/studies/ablation_mask_dropout.yml --jobs 2
  {command} options/studies/networks_deblur.yml"""


@dataclass(frozen=True)
class StudyJob:
    """A study, and deviations from its file.

    Args:
        study: its file.
        group: replaces that of the file; None keeps it.
        rows: some of its rows; None is all.
        seeds: replace those of the file; None keeps them.
        training, testing: ``key=value`` overrides, applied after those of the file.
        jobs: runs at the same time.
        output: folder of the tables, the page and the logs; None is ``results/<group>-<name>``.
        debug: show tracebacks.
    """

    study: Path
    group: str | None
    rows: list[str] | None
    seeds: list[int] | None
    training: list[str]
    testing: list[str]
    jobs: int
    output: Path | None
    debug: bool


def read_job(argv: Sequence[str] | None = None, called: str = "sam-deblur study") -> StudyJob:
    """Read the command line; exits with 2 on a mistake."""
    parser = command_parser(called, _ABOUT, _EXAMPLE)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "file", nargs="?", type=typed_path, metavar="FILE",
        help=f"study file (default: {PAPER_ROWS}, the four rows of the paper)",
    )  # fmt: skip
    which.add_argument("-s", "--study", type=typed_path, metavar="FILE", help="the same")
    parser.add_argument("--group", help="beginning of the runs' names, and {group} in the study's paths")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="some of the study's rows (default: all)")
    parser.add_argument(
        "--seeds", nargs="+", type=int, metavar="SEED",
        help="manual_seed of the trainings (default: those of the study)",
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
        "is set",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=typed_path, metavar="DIR", help=f"(default: {RESULTS}/<group>-<name>)"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    typed = parser.parse_args(argv)
    return StudyJob(
        study=_found(typed.file or typed.study or PAPER_ROWS),
        group=typed.group,
        rows=typed.rows,
        seeds=None if typed.seeds is None else list(dict.fromkeys(typed.seeds)),
        training=typed.training,
        testing=typed.testing,
        jobs=typed.jobs,
        output=typed.output,
        debug=typed.debug,
    )


def _found(study: Path) -> Path:
    """A study file; outside a checkout, the bundled one of that name."""
    shipped = OPTIONS / study.relative_to("options") if study.parts[:1] == ("options",) else study
    return study if study.is_file() or not shipped.is_file() else shipped


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1 (got {text})")
    return number
