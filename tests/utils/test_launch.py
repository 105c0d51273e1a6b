"""A restart is told from a start that only looks like one."""

from __future__ import annotations

import pytest

from basicsr.utils.launch import is_restart, launch_of

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none"}
SLURM = {"SLURM_JOB_ID": "12"}


@pytest.mark.parametrize(
    ("first", "count"),
    [(TORCHRUN, "TORCHELASTIC_RESTART_COUNT"), (SLURM, "SLURM_RESTART_COUNT")],
)
def test_what_started_the_run_starts_it_again(first, count: str):
    before = launch_of(first)
    assert is_restart({**first, count: "1"}, before)
    assert not is_restart(first, before) and not is_restart({**first, count: "0"}, before)
    assert not is_restart({**first, count: "1"}, {}), "an experiment that was there before"


def test_another_job_and_another_launcher_are_no_restart():
    requeued = {**SLURM, "SLURM_RESTART_COUNT": "2"}
    assert not is_restart(requeued, launch_of({"SLURM_JOB_ID": "13"}))
    assert not is_restart({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "1"}, {"torchrun": "machine 1 2"})
    assert is_restart({**TORCHRUN, **requeued}, launch_of({**TORCHRUN, **SLURM}))
