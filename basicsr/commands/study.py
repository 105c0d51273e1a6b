"""Train the rows of a study on one budget, test them, and compare them in one table."""

from __future__ import annotations

from collections.abc import Sequence

from basicsr.config.cli import run_command
from basicsr.studies.job import StudyJob, read_job


def main(argv: Sequence[str] | None = None, called: str = "sam-deblur study") -> None:
    """Entry point."""
    job = read_job(argv, called)
    run_command(lambda: command(job), job.debug)


def command(job: StudyJob) -> None:
    """Train, test and compare."""
    from basicsr.studies.compare import compare_rows
    from basicsr.utils.log import open_log

    open_log(is_main=True)
    compare_rows(job)
