"""Restarts of the same run: by torchrun after a process has failed, by Slurm after a job was requeued."""

from __future__ import annotations

import os
from collections.abc import Mapping

from basicsr.utils.processes import Process

_COUNTS = {"torchrun": "TORCHELASTIC_RESTART_COUNT", "slurm": "SLURM_RESTART_COUNT"}


def launch_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What has started this process, the same for restarts: torchrun's process, Slurm's job."""
    found = {}
    if "TORCHELASTIC_RUN_ID" in environment:
        launcher = Process.here(os.getppid())
        found["torchrun"] = f"{launcher.machine} {launcher.pid} {launcher.started}"
    if "SLURM_JOB_ID" in environment:
        found["slurm"] = f"{environment.get('SLURM_CLUSTER_NAME', '')} {environment['SLURM_JOB_ID']}"
    return found


def is_restart(environment: Mapping[str, str], before: Mapping[str, str]) -> bool:
    """Whether this is an automatic restart of the run with the launch ``before``."""
    now = launch_of(environment)
    return any(
        environment.get(count, "0").strip() not in ("", "0") and name in now and now[name] == before.get(name)
        for name, count in _COUNTS.items()
    )
