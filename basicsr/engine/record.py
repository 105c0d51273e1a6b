"""What a run was made with: versions, code, machine and data, so that another one can be compared to it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import basicsr
from basicsr.config.paths import ExperimentPaths
from basicsr.engine.trainer import Hook, Trainer
from basicsr.utils.checksum import with_checksum, without_checksum
from basicsr.utils.cores import usable_cores
from basicsr.utils.differences import differences
from basicsr.utils.display import ESCAPED
from basicsr.utils.dist import Ranks
from basicsr.utils.files import write_bytes
from basicsr.utils.log import logger, unwritten_is_told
from basicsr.utils.reading import parse_json

_ROOT = Path(basicsr.__file__).resolve().parents[1]


class Record(Hook):
    """Writes the record of a run before its first step, and warns where a resumed one differs.

    Args:
        paths: of the experiment.
        resumed: the experiment whose state the run continues from; None starts a new run.
        seed: of the run.
        data: fingerprints of the data sets, by their names in the option file.
        ranks: the main process writes.
    """

    def __init__(
        self,
        paths: ExperimentPaths,
        resumed: ExperimentPaths | None,
        seed: int,
        data: Mapping[str, Any],
        ranks: Ranks,
    ) -> None:
        self.paths = paths
        self.resumed = resumed
        self.seed = seed
        self.data = data
        self.ranks = ranks

    def before_run(self, trainer: Trainer) -> None:
        if not self.ranks.is_main:
            return
        record = {
            "seed": self.seed,
            "versions": versions(),
            "code": code(_ROOT),
            "machine": machine(trainer.device, self.ranks),
            "data": self.data,
        }
        if self.resumed is not None:
            before = read_record(self.resumed, trainer.iteration)
            changes = [] if before is None else list(differences(before, record))
            if changes:
                what = "; ".join(changes)
                logger().warning(f"resumed with what differs from before, so results may too: {what}")
        content = json.dumps(with_checksum(record), indent=2, ensure_ascii=False)
        with unwritten_is_told("the record of this run is missing"):
            data = (content + "\n").encode(errors=ESCAPED)
            write_bytes(self.paths.record(trainer.iteration), data)


def read_record(paths: ExperimentPaths, iteration: int) -> dict[str, Any] | None:
    """The newest record of a run that led to ``iteration``; None where it has none, or a damaged one."""
    found = [number for number in paths.recorded() if number <= iteration]
    if not found:
        return None
    file = paths.record(max(found))
    try:
        return without_checksum(parse_json(file.read_bytes()))
    except (OSError, ValueError, AttributeError) as error:
        logger().warning(f"{file}: damaged ({error}); what has changed since is unknown")
        return None


def versions() -> dict[str, str | None]:
    """Versions of what computes."""
    return {
        "basicsr": basicsr.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": str(torch.backends.cudnn.version()) if torch.cuda.is_available() else None,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def code(root: Path) -> dict[str, Any]:
    """The git commit of the code and whether files differ from it; nothing where it is not a checkout."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return {"commit": None, "is_dirty": None}
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": _git(root, "rev-parse", "HEAD"), "is_dirty": bool(changed)}


def machine(device: torch.device, ranks: Ranks) -> dict[str, Any]:
    """Where the run happens."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "processes": ranks.world_size,
    }


def _git(root: Path, *words: str) -> str | None:
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True, text=True, timeout=20, check=True, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
