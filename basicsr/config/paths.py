"""Where a run keeps its files: the only place that knows the layout of ``experiments/`` and ``results/``."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from basicsr.utils.errors import OptionError

EXPERIMENTS = Path("experiments")
RESULTS = Path("results")


@dataclass(frozen=True)
class ExperimentPaths:
    """Files of one training run, below ``experiments/<name>`` of the current folder."""

    root: Path

    @classmethod
    def of(cls, name: str) -> ExperimentPaths:
        return cls(EXPERIMENTS / name)

    @property
    def lock(self) -> Path:
        """Names the process that writes; beside the folder, which may be put aside."""
        return _lock_beside(self.root)

    @property
    def launch(self) -> Path:
        """What started the run, so that its restarts resume it."""
        return self.root / "launch.json"

    @property
    def folders(self) -> list[Path]:
        """Where the files of the run itself are written."""
        return [self.root, self.state(0).parent, self.network(0).parent]

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    def curves(self, kind: Literal["svg", "png"]) -> Path:
        return self.root / f"curves.{kind}"

    @property
    def watched(self) -> Path:
        """The page of ``sam-deblur watch``."""
        return self.root / "watch.html"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tb_logger"

    @property
    def visualization(self) -> Path:
        return self.root / "visualization"

    def pictures(self, dataset: str, iteration: int) -> list[Path]:
        """Pictures of a validation, by name."""
        return sorted((self.visualization / dataset).glob(f"*_{iteration}.png"))

    @property
    def plugins(self) -> Path:
        """Copies of the user's own code that the run used."""
        return self.root / "plugins"

    def log(self, started: float) -> Path:
        return self.root / f"train_{time.strftime('%Y%m%d_%H%M%S', time.localtime(started))}.log"

    def config(self, iteration: int) -> Path:
        """Effective options; a resumed run keeps its own beside those of the first."""
        return self.root / ("config.yml" if iteration == 0 else f"config_from_{iteration}.yml")

    def record(self, iteration: int) -> Path:
        """What the run was made with; a resumed run keeps its own."""
        return self.root / ("record.json" if iteration == 0 else f"record_from_{iteration}.json")

    def recorded(self) -> list[int]:
        """The iterations that have a `record`."""
        names = re.compile(r"record(?:_from_([0-9]+))?\.json")
        found = [names.fullmatch(path.name) for path in self.root.glob("record*.json")]
        return sorted(int(match.group(1) or 0) for match in found if match is not None)

    def network(self, iteration: int | str, name: str = "g") -> Path:
        """Weights of a network after ``iteration`` steps, or ``"latest"``."""
        return self.root / "models" / f"net_{name}_{iteration}.pth"

    def state(self, iteration: int) -> Path:
        return self.root / "training_states" / f"{iteration}.state"

    def checkpoint(self, iteration: int, networks: Sequence[str] = ("g",)) -> list[Path]:
        """All files of a checkpoint, the state first; without it the others are not resumed from."""
        return [self.state(iteration), *(self.network(iteration, name) for name in networks)]

    @property
    def trouble(self) -> Path:
        """Since when training is out of its usual range; there only while it is."""
        return self.root / "trouble.json"

    def newest_state(self, networks: Sequence[str] = ("g",)) -> Path | None:
        """The first of `states`."""
        return next(iter(self.states(networks)), None)

    def states(self, networks: Sequence[str] = ("g",)) -> list[Path]:
        """The states whose weights are there, newest first; half-written ones are skipped.

        Args:
            networks: names of those that are trained.
        """
        found = [path for path in (self.root / "training_states").glob("*.state") if path.stem.isdecimal()]
        complete = [
            path
            for path in found
            if all(self.network(iteration_of(path), name).is_file() for name in networks)
        ]
        return sorted(complete, key=iteration_of, reverse=True)

    def require_new(self) -> None:
        """Refuse to mix two runs.

        Raises:
            OptionError: the folder exists and is not empty.
        """
        if self.root.is_dir() and any(self.root.iterdir()):
            hint = "Add --auto_resume to resume it, or choose another name: --set name=..."
            raise OptionError("name", [f"name: the experiment {self.root} exists already. {hint}"])


def iteration_of(state: Path) -> int:
    """The iteration in the name of a ``<iteration>.state`` file.

    Raises:
        OptionError: the name has no iteration.
    """
    match = re.fullmatch(r"(\d+)\.state", state.name)
    if match is None:
        raise OptionError(
            "path.resume_state", [f"path.resume_state: expected <iteration>.state (got '{state}')"]
        )
    return int(match.group(1))


@dataclass(frozen=True)
class ResultPaths:
    """Files of one test run, below ``results/<name>`` of the current folder."""

    root: Path

    @classmethod
    def of(cls, name: str) -> ResultPaths:
        return cls(RESULTS / name)

    @property
    def lock(self) -> Path:
        """Names the process that writes; beside the folder, which may be put aside."""
        return _lock_beside(self.root)

    @property
    def metrics_json(self) -> Path:
        return self.root / "metrics.json"

    @property
    def metrics_csv(self) -> Path:
        return self.root / "metrics.csv"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def cost(self) -> Path:
        return self.root / "cost.json"

    @property
    def config(self) -> Path:
        return self.root / "config.yml"

    @property
    def visualization(self) -> Path:
        return self.root / "visualization"

    @property
    def plugins(self) -> Path:
        """Copies of the user's own code that the run used."""
        return self.root / "plugins"

    def picture(self, dataset: str, key: str, suffix: str | None) -> Path:
        """Restored image ``key`` of a data set."""
        return self.visualization / dataset / (f"{key}_{suffix}.png" if suffix else f"{key}.png")

    def log(self, started: float) -> Path:
        return self.root / f"test_{time.strftime('%Y%m%d_%H%M%S', time.localtime(started))}.log"


def _lock_beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def set_file_aside(path: Path, why: str) -> Path:
    """Rename a file that is not to be used, ``100.state`` to ``100.state.<why>``; returns its new place."""
    aside, number = path.with_name(f"{path.name}.{why}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{why}_{number}")
    path.rename(aside)
    return aside


def put_aside(folder: Path) -> Path | None:
    """Rename the folder of an earlier run, so that nothing is lost; returns its new place, if any."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    archive = Path(f"{folder}_archived_{time.strftime('%Y%m%d_%H%M%S')}")
    number = 1
    while archive.exists():
        number += 1
        archive = Path(f"{folder}_archived_{time.strftime('%Y%m%d_%H%M%S')}_{number}")
    folder.rename(archive)
    return archive
