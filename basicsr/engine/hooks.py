"""What happens around training steps: averaging, logs, checkpoints, validation."""

from __future__ import annotations

import copy
import signal
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from basicsr.checkpoints.weights import save_contents, save_network
from basicsr.config.paths import ExperimentPaths
from basicsr.config.schema import ValOptions
from basicsr.data.paired import ImageDataset
from basicsr.engine.evaluator import EvaluationStoppedError, Image, Judged, evaluate
from basicsr.engine.pictures import side_by_side
from basicsr.engine.remarks import Remarks
from basicsr.engine.resume import remove_old
from basicsr.engine.trainer import Hook, Trainer
from basicsr.engine.trouble import Trouble
from basicsr.metrics.base import Metric
from basicsr.models.base import Batch, Model
from basicsr.utils.dist import Ranks, any_process, gather_objects, mean_over_processes, wait_for_all
from basicsr.utils.errors import UserError
from basicsr.utils.interruption import Interrupted, Interruption
from basicsr.utils.log import EventLog, logger, unwritten_is_told
from basicsr.utils.rng import capture_random_state

_MOST_FAILED_IN_A_ROW = 3
_PICTURED = 4  # images of each validation set that TensorBoard shows


class Ema(Hook):
    """Keeps an exponential moving average of the networks, in a copy of the model that predicts with it.

    Steps that were skipped do not count.

    Args:
        model: what is averaged.
        decay: share of the old average that each step keeps.

    Attributes:
        model: the copy with averaged networks.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self._trained = nn.ModuleDict(model.trained)
        self._averaged = AveragedModel(self._trained, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.model = copy.deepcopy(model)
        self.model.networks.update(dict(self._averaged.module.named_children()))

    def after_step(self, trainer: Trainer) -> None:
        if not trainer.was_skipped:
            self._averaged.update_parameters(self._trained)

    def state_dict(self) -> dict[str, Any]:
        """How many models are averaged; the weights are saved with the network."""
        return {"n_averaged": int(self._averaged.n_averaged)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self._averaged.n_averaged.fill_(state["n_averaged"])


class Log(Hook):
    """Logs progress every ``every`` iterations; losses are means since then, without skipped steps.

    Args:
        epoch_size: samples per epoch.
        events: where numbers go; None on processes other than the main one.
    """

    def __init__(self, every: int, epoch_size: int, events: EventLog | None) -> None:
        self.every = every
        self.epoch_size = epoch_size
        self.events = events
        self._sums: dict[str, torch.Tensor] = {}
        self._counted = 0
        self._begun_at: int | None = None
        self._step_before = 0.0
        self._data_before = 0.0

    def before_run(self, trainer: Trainer) -> None:
        if self._begun_at is None:
            self._begin(trainer)

    def state_dict(self, trainer: Trainer) -> dict[str, Any]:
        """What is summed up since the last line."""
        return {
            "begun_at": self._begun_at,
            "counted": self._counted,
            "sums": {name: value.detach().cpu() for name, value in self._sums.items()},
            "step_seconds": trainer.step_seconds - self._step_before,
            "data_seconds": trainer.data_seconds - self._data_before,
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Undo `state_dict`, in a new process."""
        self._begun_at, self._counted = state["begun_at"], state["counted"]
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._step_before, self._data_before = -state["step_seconds"], -state["data_seconds"]

    def after_step(self, trainer: Trainer) -> None:
        for name, value in trainer.last_losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
        self._counted += not trainer.was_skipped
        if not trainer.is_due(self.every):
            return
        assert self._begun_at is not None
        steps = trainer.iteration - self._begun_at
        losses = {}
        if self._counted:
            means = mean_over_processes(torch.stack(list(self._sums.values())).float() / self._counted)
            losses = dict(zip(self._sums, means.tolist(), strict=True))
        step_seconds = (trainer.step_seconds - self._step_before) / steps
        data_seconds = (trainer.data_seconds - self._data_before) / steps
        if self.events is not None:
            self._say(trainer, losses, step_seconds, data_seconds)
        self._begin(trainer)

    def _begin(self, trainer: Trainer) -> None:
        self._sums, self._counted = {}, 0
        self._begun_at = trainer.iteration
        self._step_before, self._data_before = trainer.step_seconds, trainer.data_seconds

    def _say(
        self, trainer: Trainer, losses: dict[str, float], step_seconds: float, data_seconds: float
    ) -> None:
        assert self.events is not None
        rate = trainer.optimizer.param_groups[0]["lr"]
        remaining = step_seconds * (trainer.total_iter - trainer.iteration)
        epoch = trainer.samples_done // self.epoch_size
        values = {
            "epoch": epoch,
            **losses,
            "lr": rate,
            "step_seconds": round(step_seconds, 5),
            "data_seconds": round(data_seconds, 5),
            "eta_seconds": round(remaining, 1),
            "skipped_steps": trainer.skipped_steps,
        }
        self.events.write("train", trainer.iteration, values)
        shown = " ".join(f"{name} {value:.4e}" for name, value in losses.items())
        skipped = f" skipped {trainer.skipped_steps}" if trainer.skipped_steps else ""
        logger().info(
            f"iter {trainer.iteration}/{trainer.total_iter} epoch {epoch} {shown} lr {rate:.3e} "
            f"{step_seconds:.3f} s/step (data {data_seconds:.3f}) eta {duration(remaining)}{skipped}"
        )


class SaveCheckpoint(Hook):
    """Saves weights and training state every ``every`` iterations and after the last one.

    It comes before `Validate`, which may fail. Before a validation at another iteration the weights alone are
    saved, as the latest. While there is trouble, the latest stay those from before, if there are any. Where
    the disk takes none, training continues; it ends after the third failure in a row, or one after the last
    iteration.

    Args:
        paths: of the experiment.
        ema: its average is stored too.
        ranks: the main process writes; every process gives its random state.
        validated_every: iterations between two validations; None is none.
        trouble: None never sees any.
        keep_last: checkpoints that stay; None keeps all.
        log: what it has summed up is stored too.
        remarks: so are these.
    """

    def __init__(
        self,
        every: int,
        paths: ExperimentPaths,
        ema: Ema | None,
        ranks: Ranks,
        validated_every: int | None = None,
        trouble: Trouble | None = None,
        keep_last: int | None = None,
        log: Log | None = None,
        remarks: Remarks | None = None,
    ) -> None:
        self.every = every
        self.paths = paths
        self.ema = ema
        self.ranks = ranks
        self.validated_every = validated_every
        self.trouble = trouble
        self.keep_last = keep_last
        self.log = log
        self.remarks = remarks
        self._saved_at: int | None = None
        self._failed_in_a_row = 0

    def after_step(self, trainer: Trainer) -> None:
        if trainer.is_due(self.every):
            self.save(trainer)
        elif self.ranks.is_main and self.validated_every and trainer.is_due(self.validated_every):
            with suppress(OSError):  # reported by the next checkpoint
                self._save_latest(trainer)

    def save(self, trainer: Trainer) -> bool:
        """Save now, unless this iteration is saved already; returns whether the main process could write it.

        Raises:
            UserError: it could not, for the third time in a row or after the last iteration.
        """
        if self._saved_at == trainer.iteration:
            return self._failed_in_a_row == 0
        self._saved_at = trainer.iteration
        random_states = gather_objects(capture_random_state())
        windows = gather_objects(self.log.state_dict(trainer)) if self.log else None
        remarks = self.remarks.state_dict() if self.remarks else None
        if not self.ranks.is_main:
            return True
        files = self.paths.checkpoint(trainer.iteration, list(trainer.model.trained))
        new = [path for path in files if not path.exists()]
        try:
            self._write(trainer, {"random": random_states, "log": windows, "remarks": remarks})
        except OSError as error:
            self._failed_in_a_row += 1
            for path in new:
                with suppress(OSError):
                    path.unlink(missing_ok=True)  # half a checkpoint would only take room
            self._fail(trainer, error)
            return False
        self._failed_in_a_row = 0
        self._remove_old(trainer)
        return True

    def _fail(self, trainer: Trainer, error: OSError) -> None:
        """Warn, or end the run where retrying is hopeless."""
        what = f"{error.filename}: {error.strerror}; the checkpoint of {trainer.iteration} is not written"
        hint = "fix that, and resume with --auto_resume"
        if self._failed_in_a_row == _MOST_FAILED_IN_A_ROW:
            raise UserError(f"{what}, {_MOST_FAILED_IN_A_ROW} times in a row; {hint}") from error
        if trainer.iteration == trainer.total_iter:
            raise UserError(f"{what}, and it is the last one; {hint}") from error
        logger().warning(f"{what}, the earlier ones stay")

    def _write(self, trainer: Trainer, of_all: dict[str, Any]) -> None:
        """Write weights and state; ``of_all`` is what all processes have given to the latter."""
        self.save_networks(trainer, trainer.iteration)
        self._save_latest(trainer)
        average = self.ema.state_dict() if self.ema else None
        save_contents(self.paths.state(trainer.iteration), trainer.state_dict() | of_all | {"ema": average})
        logger().info(f"saved {self.paths.network(trainer.iteration)}")

    def _remove_old(self, trainer: Trainer) -> None:
        if self.keep_last is None:
            return
        with unwritten_is_told("older checkpoints stay"):
            gone = remove_old(self.paths, list(trainer.model.trained), self.keep_last, self._since())
            if gone:
                shown = ", ".join(path.name for path in gone)
                logger().info(f"removed {shown} and their weights (logger.keep_last {self.keep_last})")

    def _since(self) -> int | None:
        return None if self.trouble is None else self.trouble.since

    def _save_latest(self, trainer: Trainer) -> None:
        since = self._since()
        is_there = all(self.paths.network("latest", name).is_file() for name in trainer.model.trained)
        if since is None or (trainer.iteration == trainer.total_iter and not is_there):
            self.save_networks(trainer, "latest")
        else:
            what = f"there is trouble since iteration {since}"
            logger().warning(f"{self.paths.network('latest')} is not replaced: {what}")

    def save_networks(self, trainer: Trainer, iteration: int | str) -> None:
        """Write the weights alone, under that name."""
        averaged = {} if self.ema is None else self.ema.model.trained
        for name, net in trainer.model.trained.items():
            save_network(self.paths.network(iteration, name), net, averaged.get(name), net.block)


class KeepBest:
    """Saves the weights of the best validation.

    Args:
        metric: name of what is compared: the mean of its figures of all validation sets.
        better: which values are.
        checkpoints: what saves weights.
    """

    def __init__(self, metric: str, better: Literal["higher", "lower"], checkpoints: SaveCheckpoint) -> None:
        self.metric = metric
        self.better = better
        self.checkpoints = checkpoints
        self.unwritten: set[int] = set()  # iterations whose weights were the best and could not be saved

    def compare(self, trainer: Trainer, events: Iterable[Mapping[str, Any]]) -> None:
        """Save, unless an earlier validation among the events was as good and its weights were saved."""
        figures: defaultdict[int, list[float]] = defaultdict(list)
        for event in events:
            if event["kind"] == "val" and event.get(self.metric) is not None:
                figures[event["iter"]].append(event[self.metric])
        sign = 1 if self.better == "higher" else -1
        means = {iteration: sign * sum(values) / len(values) for iteration, values in figures.items()}
        now = means.pop(trainer.iteration, None)
        others = [mean for iteration, mean in means.items() if iteration not in self.unwritten]
        if now is not None and all(now > mean for mean in others):
            self.unwritten.add(trainer.iteration)
            with unwritten_is_told("these would be the best weights so far"):
                self.checkpoints.save_networks(trainer, "best")
                place = self.checkpoints.paths.network("best")
                logger().info(f"saved {place}: {self.metric} {sign * now:.4f}")
                self.unwritten.discard(trainer.iteration)


class Validate(Hook):
    """Evaluates the model, or its average, every ``every`` iterations and after the last one.

    Args:
        loaders: validation sets by name.
        metrics: from `basicsr.engine.evaluator.build_metrics`.
        options: how images are restored and judged.
        ema: evaluate its average instead of the model.
        pictures: folder for restored images.
        events: where numbers go; None on processes other than the main one.
        interruption: what ends a validation before its end.
        is_made_up: whether a validation that is due before the first step, and is not among the events, is
            made up: the run continues from where another one was cut off.
        best: what keeps the best weights; None keeps none.
        is_pictured: whether ``events`` take pictures of the first images of each set.
    """

    def __init__(
        self,
        every: int | None,
        loaders: Mapping[str, DataLoader[Batch]],
        metrics: Mapping[str, Metric],
        options: ValOptions,
        ema: Ema | None,
        pictures: Path,
        events: EventLog | None,
        ranks: Ranks,
        interruption: Interruption | None = None,
        is_made_up: bool = False,
        best: KeepBest | None = None,
        is_pictured: bool = False,
    ) -> None:
        self.every = every
        self.loaders = loaders
        self.metrics = metrics
        self.options = options
        self.ema = ema
        self.pictures = pictures
        self.events = events
        self.ranks = ranks
        self.interruption = interruption or Interruption()
        self.is_made_up = is_made_up
        self.best = best
        self.is_pictured = is_pictured

    def before_run(self, trainer: Trainer) -> None:
        if self.is_made_up and self.every is not None and trainer.is_due(self.every):
            done = [] if self.events is None else self.events.read()
            validated = {event["dataset"] for event in done if _is_validation(event, trainer.iteration)}
            missing = [name for name in self.loaders if name not in validated]
            self._validate(trainer, gather_objects(missing)[0])

    def after_step(self, trainer: Trainer) -> None:
        if self.every is not None and trainer.is_due(self.every):
            self._validate(trainer, self.loaders)

    def _validate(self, trainer: Trainer, names: Iterable[str]) -> None:
        with suppress(EvaluationStoppedError):  # the next run makes it up
            self._validate_all(trainer, names)
            if self.best is not None and self.events is not None:
                self.best.compare(trainer, self.events.read())

    def _validate_all(self, trainer: Trainer, names: Iterable[str]) -> None:
        model = self.ema.model if self.ema is not None else trainer.model
        for name in names:

            def picture(key: str, name: str = name) -> Path:
                return self.pictures / name / f"{key}_{trainer.iteration}.png"

            pictured = self._pictured(self.loaders[name])

            def strip(judged: Judged, pictured: frozenset[str] = pictured) -> tuple[str, Image] | None:
                return (judged.key, side_by_side(judged)) if judged.key in pictured else None

            result = evaluate(
                model,
                self.loaders[name],
                name,
                self.metrics,
                self.options,
                trainer.device,
                self.ranks,
                picture if self.options.save_img else None,
                keep=strip if pictured else None,
                stop=lambda: self.interruption.is_asked,
                needs_pictures=False,
            )
            if self.events is not None:
                summaries = result.summaries
                counts = {
                    f"{metric}_{what}": count
                    for metric, item in summaries.items()
                    for what, count in item.left_out.items()
                }
                self.events.write("val", trainer.iteration, {"dataset": name, **result.mean, **counts})
                self.events.write_pictures(name, trainer.iteration, dict(filter(None, result.kept)))
                shown = " ".join(f"{metric} {item:.4f}" for metric, item in summaries.items())
                logger().info(f"validation {name} iter {trainer.iteration}: {shown or 'no metrics'}")

    def _pictured(self, loader: DataLoader[Batch]) -> frozenset[str]:
        """Keys of the images that TensorBoard shows; the same on every process."""
        if not self.is_pictured:
            return frozenset()
        assert isinstance(loader.dataset, ImageDataset)
        return frozenset(loader.dataset.keys[:_PICTURED])


class SaveAndLeave(Hook):
    """Ends the run when a signal asks one of its processes to: after the step, and saved. It comes last.

    Args:
        interruption: of this process.
    """

    def __init__(self, interruption: Interruption, checkpoints: SaveCheckpoint) -> None:
        self.interruption = interruption
        self.checkpoints = checkpoints

    def before_run(self, trainer: Trainer) -> None:
        if any_process(self.interruption.is_asked, trainer.device):
            self._leave(is_saved=True)

    def after_step(self, trainer: Trainer) -> None:
        if any_process(self.interruption.is_asked, trainer.device):
            self._leave(self.checkpoints.save(trainer))

    def _leave(self, is_saved: bool) -> None:
        wait_for_all()  # or a launcher that sees the others leave would end the one that saves
        asked = Interrupted(self.interruption.number or signal.SIGTERM, is_saved=True)
        saved = "saved, --auto_resume continues from here"
        saved = saved if is_saved else "--auto_resume continues from an earlier checkpoint"
        logger().info(f"{asked}: {saved}")
        raise asked


def _is_validation(event: Mapping[str, Any], iteration: int) -> bool:
    return event["kind"] == "val" and event["iter"] == iteration


def duration(seconds: float) -> str:
    """``"1:02:03"``, with days in front where there are some."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{f'{days}d ' if days else ''}{hour}:{minute:02d}:{second:02d}"
