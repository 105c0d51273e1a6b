"""How long a training step of a row takes: measured in a separate process, which runs this file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if not __package__:  # run as a file, as train.py is
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch

from basicsr.config.cli import run_command
from basicsr.config.load import load_config
from basicsr.config.schema import Config
from basicsr.config.stretch import stretched
from basicsr.engine.build import build_model, build_trainer
from basicsr.engine.hooks import Ema
from basicsr.engine.run import open_training
from basicsr.engine.trainer import Hook, Trainer
from basicsr.studies.runs import decisive_options
from basicsr.utils.errors import UserError
from basicsr.utils.files import write_bytes

WARM_UP = 3
TIMED = 10


@dataclass(frozen=True)
class Probe:
    """The measurement of a row.

    Args:
        seconds_per_step: mean of `TIMED` steps after `WARM_UP` others, or after the model's slow ones if
            these are more; including waiting for samples, without validation and checkpoints.
        device: ``cpu`` or the name of the GPU.
        threads: of PyTorch.
        options: of the training that affect its weights.
    """

    seconds_per_step: float
    device: str
    threads: int
    options: dict[str, Any]

    def iterations(self, minutes: float) -> int:
        """How many steps fit into this time; at least 1."""
        return max(1, round(60 * minutes / self.seconds_per_step))

    def is_of(self, config: Config) -> bool:
        """Whether a training with these options was measured."""
        return self.options == _plain(decisive_options(config))


def read_probe(path: Path) -> Probe | None:
    """The file written by `main`; None if there is none yet.

    Raises:
        UserError: if the file is something else.
    """
    if not path.is_file():
        return None
    try:
        return Probe(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: not a file of a study; remove it, and start again") from error


def main(file: str, result: str, overrides: Sequence[str]) -> None:
    """Measure the training of an option file, and write a `Probe` to ``result``. Nothing is trained."""
    config = load_config(file, overrides, "train")
    assert config.train is not None
    run = open_training(config, "none", auto_resume=False)
    model = build_model(config, run)
    warm_up = max(WARM_UP, model.slow_steps)
    shortened = load_config(file, [*overrides, *stretched(config.train, warm_up + TIMED)], "train")
    trainer = build_trainer(shortened, run, model)
    watch = _Stopwatch(warm_up)
    # the average costs time at each step; other hooks would write files
    trainer.hooks = [*(hook for hook in trainer.hooks if isinstance(hook, Ema)), watch]
    trainer.run(warm_up + TIMED)
    is_gpu = run.device.type == "cuda"
    device = torch.cuda.get_device_name(run.device) if is_gpu else run.device.type
    options = _plain(decisive_options(config))
    probe = Probe(watch.seconds_per_step, device, torch.get_num_threads(), options)
    write_bytes(Path(result), (json.dumps(asdict(probe), indent=2) + "\n").encode())
    run.close()


class _Stopwatch(Hook):
    def __init__(self, warm_up: int) -> None:
        self._warm_up = warm_up

    def after_step(self, trainer: Trainer) -> None:
        if trainer.iteration == self._warm_up:
            self._started = time.perf_counter()
        if trainer.iteration == self._warm_up + TIMED:
            self.seconds_per_step = (time.perf_counter() - self._started) / TIMED


def _plain(options: dict[str, Any]) -> Any:
    """As JSON returns them."""
    return json.loads(json.dumps(options))


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1], sys.argv[2], sys.argv[3:]), debug=False)
