"""From a `Config` to objects: network, model, data, trainer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from basicsr.archs.base import Network
from basicsr.checkpoints.weights import load_contents, load_network
from basicsr.config.paths import ExperimentPaths
from basicsr.config.schema import Config, DatasetOptions, TrainOptions
from basicsr.data.fingerprint import fingerprint
from basicsr.data.loader import batch_size_of_one, batches, evaluation_loader, train_loader
from basicsr.data.paired import ImageDataset
from basicsr.engine.agreement import agree
from basicsr.engine.evaluator import Evaluation, Judged, build_metrics, evaluate
from basicsr.engine.hooks import Ema, KeepBest, Log, SaveAndLeave, SaveCheckpoint, Validate
from basicsr.engine.inference import windows_of
from basicsr.engine.networks import start_network, weights_beside
from basicsr.engine.record import Record
from basicsr.engine.remarks import Remarks
from basicsr.engine.run import Run, TestingRun, TrainingRun
from basicsr.engine.schedules import warmed_up
from basicsr.engine.trainer import StepSettings, Trainer, is_training_state
from basicsr.engine.trouble import Trouble
from basicsr.layers.normalization import IDENTITY
from basicsr.models.base import Apply, Batch, Model, check_inputs, check_kinds
from basicsr.utils.compiled_code import keep_compiled_code
from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.log import logger
from basicsr.utils.registry import MODELS
from basicsr.utils.rng import restore_random_state

_SHOWN = 8  # entries of a file, in an error


def build_model(config: Config, run: Run) -> Model:
    """Networks with their starting weights and, in training, losses; on the run's device."""
    training = isinstance(run, TrainingRun)
    resumed = run.resume_state if isinstance(run, TrainingRun) else None
    networks = {
        name: start_network(config, name, run.device, resumed, training) for name in config.all_networks
    }
    options = config.train if isinstance(run, TrainingRun) else None
    losses = {} if options is None else {name: item.build() for name, item in options.all_losses.items()}
    mixup = options is not None and options.mixup
    name = config.model_type
    check_kinds(MODELS[name], networks)  # type: ignore[arg-type]
    if mixup and "mixup" not in inspect.signature(MODELS[name]).parameters:
        what = f"{name} cannot blend samples"
        raise OptionError("train.mixup", [f"train.mixup: {what}; set it to false"])
    try:
        model = MODELS.build(name, config.model_opt, networks=networks, losses=losses, mixup=mixup)
    except ValueError as error:
        raise OptionError("model_opt", [f"model_opt: {error}"]) from error
    assert isinstance(model, Model)
    model.check()
    return model.to(run.device)


def build_dataset(options: DatasetOptions, config: Config, model: Model, phase: str) -> ImageDataset:
    """The data set of ``datasets.<phase>``, checked against the network and ``grouped_masks``."""
    where = f"datasets.{phase}"
    dataset = options.build(seed=config.manual_seed, train=phase == "train")
    assert isinstance(dataset, ImageDataset)
    if dataset.train:
        model.reference = dataset.reference
    check_inputs(model, dataset.delivers, where, dataset.train)
    _agree_on_normalization(dataset, model, where)
    has_labels = "labels" in dataset.delivers
    if config.grouped_masks is not None and config.grouped_masks != has_labels:
        given = f"grouped_masks is {str(config.grouped_masks).lower()}"
        what = f"{given}, but {options.type} delivers {'label maps' if has_labels else 'none'}"
        raise OptionError("grouped_masks", [f"{where}.type: {what}; remove grouped_masks or change the type"])
    logger().info(f"{where}: {options.name}, {len(dataset)} images, {', '.join(dataset.delivers)}")
    return dataset


def _agree_on_normalization(dataset: ImageDataset, model: Model, where: str) -> None:
    """``mean``, ``std`` and ``gamma`` belong to weights: training sets them; else the weights do."""
    net = model.networks[model.predicts_with]
    assert isinstance(net, Network)
    given, known = dataset.normalization, net.normalization
    if given is None and known is not None and not known.changes_nothing:
        logger().info(f"{where}: {known}, as the weights were trained")
    if given is not None and known is not None and given != known:
        hint = "omit mean, std and gamma to follow the weights"
        logger().warning(f"{where}: {given}, but the weights were trained with {known}; {hint}")
    dataset.normalization = given or known
    if dataset.train:
        for trained in model.trained.values():
            trained.normalization = dataset.normalization or IDENTITY


def build_trainer(config: Config, run: TrainingRun, model: Model) -> Trainer:
    """Everything that `Trainer.run` needs, with the state of the run that is resumed."""
    options = config.train
    assert options is not None
    train_options, processes = config.datasets["train"], run.ranks.world_size
    batch_size = batch_size_of_one(train_options, processes, options.accumulate)
    if options.channels_last:
        model.to(memory_format=torch.channels_last)
    optimizer = _optimizer(options, _trained(model.networks.parameters()))
    ema = Ema(model, options.ema_decay) if options.ema_decay else None
    state = _read_state(run.resume_state) if run.resume_state is not None else None
    samples_done = state["samples_done"] if state is not None else 0

    dataset = build_dataset(train_options, config, model, "train")
    loader = train_loader(dataset, train_options, batch_size, run.ranks, config.manual_seed, samples_done)
    validation = _evaluation_loaders(config.phases("val"), config, run, model)
    epoch_size = len(dataset) * train_options.dataset_enlarge_ratio
    step_size = batch_size * options.accumulate * processes
    logger().info(
        f"{step_size} samples per step ({processes} process(es), {options.accumulate} x {batch_size} each), "
        f"{options.total_iter * step_size / epoch_size:.1f} epochs, {loader.num_workers} workers"
    )

    trouble = Trouble(run.paths, run.ranks)
    log = Log(config.logger.print_freq, epoch_size, run.events)
    remarks = Remarks(run.ranks)
    checkpoints = SaveCheckpoint(
        config.logger.save_checkpoint_freq,
        run.paths,
        ema,
        run.ranks,
        config.val.val_freq if validation else None,
        trouble,
        config.logger.keep_last,
        log,
        remarks,
    )
    metrics, best = build_metrics(config.val.judged_by), None
    if config.logger.keep_best is not None:
        name = config.logger.keep_best
        best = KeepBest(name, metrics[name].facts.better, checkpoints)
    datasets = {"datasets.train": dataset}
    datasets |= {f"datasets.{phase}": item for phase, item in _validated(config, validation).items()}
    data = _agree_on_data(run, datasets)
    resumed = None if run.resume_state is None else ExperimentPaths(run.resume_state.parent.parent)
    hooks = [
        Record(run.paths, resumed, config.manual_seed, data, run.ranks),
        ema,
        trouble,
        log,
        remarks,
        checkpoints,
        Validate(
            config.val.val_freq,
            validation,
            metrics,
            config.val,
            ema,
            run.paths.visualization,
            run.events,
            run.ranks,
            run.interruption,
            run.continues,
            best,
            config.logger.use_tb_logger,
        ),
        SaveAndLeave(run.interruption, checkpoints),
    ]
    if options.compile and run.device.type == "cpu" and options.amp == "off":
        logger().info("train.compile: left off, as on a CPU compiled steps are slower in float32")
    elif options.compile:
        keep_compiled_code()
        model.compile()

    def begin_epoch(epoch: int, midway: bool) -> None:
        restore = partial(_restored, model, windows_of(config.val), run.device)
        dataset.begin_epoch(epoch, midway, restore, run.ranks)

    samples = batch_size * processes
    stream = with_epochs(remarks.taken_from(batches(loader)), begin_epoch, samples, epoch_size, samples_done)
    settings = StepSettings(
        options.accumulate,
        options.amp,
        options.grad_clip_norm if options.use_grad_clip else None,
        options.channels_last,
    )
    trainer = Trainer(
        model,
        optimizer,
        _learning_rate(options),
        (dataset.complete(batch, run.device) for batch in stream),
        settings,
        run.device,
        [hook for hook in hooks if hook is not None],
    )
    if state is not None:
        _resume(trainer, ema, log, remarks, state, run)
    return trainer


def with_epochs(
    batches: Iterator[Batch], begin: Callable[[int, bool], None], samples: int, epoch_size: int, start: int
) -> Iterator[Batch]:
    """The same batches; ``begin`` is called before the first one with a sample of an epoch.

    Args:
        batches: of this process.
        begin: takes the epoch, and whether the first batch lies in the middle of it.
        samples: of a batch, over all processes.
        epoch_size: samples per epoch.
        start: position of the first batch in the stream of all samples.
    """
    begun, position = start // epoch_size - 1, start
    while True:
        last = (position + samples - 1) // epoch_size
        for epoch in range(begun + 1, last + 1):
            begin(epoch, epoch * epoch_size < start)
        begun = max(begun, last)
        try:
            batch = next(batches)
        except StopIteration:
            return
        position += samples
        yield batch


def _restored(model: Model, apply: Apply, device: torch.device, image: Tensor) -> Tensor:
    """What ``model`` makes of one image (3, H, W) in its present state, on the CPU."""
    training = model.training
    with torch.no_grad():
        restored = model.eval().predict({"lq": image[None].to(device)}, apply)[0]
    model.train(training)
    return restored.float().cpu()


def _validated(config: Config, loaders: Mapping[str, DataLoader[Batch]]) -> dict[str, ImageDataset]:
    """The data sets of validation by their key in the option file."""
    sets = {phase: loaders[options.name].dataset for phase, options in config.phases("val").items()}
    return {phase: item for phase, item in sets.items() if isinstance(item, ImageDataset)}


def build_test_loaders(config: Config, run: Run, model: Model) -> dict[str, DataLoader[Batch]]:
    """Loaders of every ``datasets.test*`` (or ``val*``, without those) by the name of the data set."""
    phases = config.tested()
    loaders = _evaluation_loaders(phases, config, run, model)
    if run.ranks.world_size > 1:
        datasets = {f"datasets.{phase}": loaders[options.name].dataset for phase, options in phases.items()}
        _agree_on_data(run, datasets)
    return loaders


def _agree_on_data(run: Run, datasets: Mapping[str, Any]) -> dict[str, Any]:
    """Fingerprints of the data sets, which are those of all processes."""
    found = {name: fingerprint(dataset) for name, dataset in datasets.items()}
    agree(run.watch, found)
    return found


def _evaluation_loaders(
    phases: dict[str, DatasetOptions], config: Config, run: Run, model: Model
) -> dict[str, DataLoader[Batch]]:
    return {
        options.name: evaluation_loader(build_dataset(options, config, model, phase), options, run.ranks)
        for phase, options in phases.items()
    }


def evaluate_all(
    config: Config,
    run: TestingRun,
    model: Model,
    loaders: dict[str, DataLoader[Batch]],
    keep: Callable[[Judged], Any] | None = None,
) -> list[Evaluation]:
    """Evaluate every data set; ``val.save_img`` writes pictures, ``keep`` is that of `evaluate`."""
    metrics = build_metrics(config.val.judged_by)
    results = []
    for name, loader in loaders.items():

        def picture(key: str, name: str = name) -> Path:
            return run.paths.picture(name, key, config.val.suffix)

        wanted = picture if config.val.save_img else None
        results.append(
            evaluate(model, loader, name, metrics, config.val, run.device, run.ranks, wanted, keep)
        )
    return results


def _read_state(path: Path) -> dict[str, Any]:
    state = load_contents(path)
    if not is_training_state(state):
        found = ", ".join(map(str, list(state)[:_SHOWN]))
        what = f"not a training state of this toolkit, but of other code, or another file (it has {found})"
        weights = f"path.pretrain_network_g={weights_beside(path)}"
        hint = f"start from its weights instead, in a new experiment: {weights} path.resume_state=null"
        raise UserError(f"{path}: {what}; {hint}")
    return state


def _resume(
    trainer: Trainer, ema: Ema | None, log: Log, remarks: Remarks, state: dict[str, Any], run: TrainingRun
) -> None:
    assert run.resume_state is not None
    try:
        trainer.load_state_dict(state)
    except (KeyError, ValueError) as error:
        what = f"not a training state of these options ({error})"
        raise UserError(
            f"{run.resume_state}: {what}; resume with the options that it was saved with"
        ) from error
    if ema is not None and state["ema"] is not None:
        for name, net in ema.model.trained.items():
            load_network(net, weights_beside(run.resume_state, name), param_key="params_ema")
        ema.load_state_dict(state["ema"])
    if run.continues:
        remarks.load_state_dict(state.get("remarks") or ())
    if len(state["random"]) == run.ranks.world_size:
        restore_random_state(state["random"][run.ranks.rank])
        if run.continues and state.get("log") is not None:
            log.load_state_dict(state["log"][run.ranks.rank], run.device)
    else:
        was = len(state["random"])
        logger().warning(
            f"resumed with {run.ranks.world_size} processes, saved with {was}: random numbers restart"
        )


def _optimizer(options: TrainOptions, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    try:
        optimizer: torch.optim.Optimizer = options.optim_g.build(params=parameters)()
    except ValueError as error:
        raise OptionError("train.optim_g", [f"train.optim_g: {error}"]) from error
    return optimizer


def _learning_rate(options: TrainOptions) -> Callable[[int, float], float]:
    return functools.partial(_scheduled, options.scheduler.build(), options.warmup_iter)


def _scheduled(schedule: Any, warmup_iter: int, step: int, base_lr: float) -> float:
    return warmed_up(schedule(step=step, base_lr=base_lr), step, base_lr, warmup_iter)


def _trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]
