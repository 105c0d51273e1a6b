"""From a `Config` to the objects of a run: folders, device, processes, network, data, trainer."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from basicsr.config.load import dump_config
from basicsr.config.paths import ExperimentPaths, ResultPaths, iteration_of, put_aside
from basicsr.config.schema import Config, DatasetOptions, TrainOptions, effective_options
from basicsr.data.loader import batches, evaluation_loader, train_loader
from basicsr.data.paired import PairedImageDataset
from basicsr.engine.checkpoint import HasWeightsFacts, load_contents, load_network
from basicsr.engine.evaluator import Evaluation, build_metrics, evaluate
from basicsr.engine.hooks import Ema, Log, SaveCheckpoint, Validate
from basicsr.engine.schedules import warmed_up
from basicsr.engine.trainer import StepSettings, Trainer
from basicsr.models.base import Model, check_inputs
from basicsr.utils.dist import Ranks, read_ranks, start_process_group, stop_process_group
from basicsr.utils.errors import OptionError
from basicsr.utils.files import write_bytes
from basicsr.utils.log import EventLog, close_log, logger, open_log
from basicsr.utils.registry import MODELS
from basicsr.utils.rng import restore_random_state, seed_everything

Launcher = Literal["none", "pytorch", "slurm"]


@dataclass(frozen=True)
class Run:
    """Where a run happens and, in training, its folder and what it continues."""

    ranks: Ranks
    device: torch.device
    experiment: ExperimentPaths | None = None
    resume_state: Path | None = None
    events: EventLog | None = None

    def close(self) -> None:
        """Flush logs and leave the other processes."""
        if self.events is not None:
            self.events.close()
        close_log()
        stop_process_group()


def open_training(config: Config, launcher: Launcher, auto_resume: bool) -> Run:
    """Make or find the experiment's folder, open its log, join the other processes, seed.

    Raises:
        OptionError: the experiment exists and nobody asked to resume it.
    """
    ranks = read_ranks(launcher, config.dist_params.port)
    paths = ExperimentPaths.of(config.name)
    state = _state_to_resume(config, paths, auto_resume)
    archived = None
    if ranks.is_main and (state is None or state.parent.parent.resolve() != paths.root.resolve()):
        if auto_resume:
            archived = put_aside(paths.root)
        else:
            paths.require_new()
    open_log(paths.log(time.time()), ranks.is_main)
    device = choose_device(config.num_gpu, ranks)
    start_process_group(ranks, device, config.dist_params.backend)
    if archived is not None:
        logger().info(f"no training state was found; the earlier folder is now {archived}")
    if state is not None:
        logger().info(f"resuming from {state}")
    events = None
    if ranks.is_main:
        write_bytes(paths.config(iteration_of(state) if state else 0), dump_config(config).encode())
        events = _open_events(config, paths)
    _prepare_torch(config, ranks)
    return Run(ranks, device, paths, state, events)


def open_testing(config: Config, launcher: Launcher) -> tuple[Run, ResultPaths]:
    """Put earlier results aside, open the log, join the other processes."""
    ranks = read_ranks(launcher, config.dist_params.port)
    paths = ResultPaths.of(config.name)
    archived = put_aside(paths.root) if ranks.is_main else None
    open_log(paths.log(time.time()), ranks.is_main)
    if archived is not None:
        logger().info(f"earlier results are now in {archived}")
    device = choose_device(config.num_gpu, ranks)
    start_process_group(ranks, device, config.dist_params.backend)
    if ranks.is_main:
        write_bytes(paths.config, dump_config(config).encode())
    _prepare_torch(config, ranks)
    return Run(ranks, device), paths


def choose_device(num_gpu: int | Literal["auto"], ranks: Ranks) -> torch.device:
    """This process's GPU, or the CPU: for 0 GPUs, and (with a warning) where CUDA is missing."""
    if num_gpu == 0 or not torch.cuda.is_available():
        if num_gpu not in (0, "auto") and ranks.is_main:
            logger().warning(f"num_gpu is {num_gpu}, but CUDA is not available: running on CPU")
        return torch.device("cpu")
    if isinstance(num_gpu, int) and num_gpu != ranks.world_size and ranks.is_main:
        how = f"torchrun --nproc_per_node={num_gpu}"
        logger().warning(
            f"num_gpu is {num_gpu}, but {ranks.world_size} process(es) were started; start with {how}"
        )
    return torch.device("cuda", ranks.local_rank)


def build_model(config: Config, run: Run) -> Model:
    """Network with its starting weights and, in training, losses; on the run's device."""
    net = _build_network(config, run)
    options = config.train if run.experiment is not None else None
    losses = {}
    if options is not None:
        wanted = {"l_pix": options.pixel_opt, "l_percep": options.perceptual_opt}
        losses = {name: item.build() for name, item in wanted.items() if item is not None}
    mixup = options is not None and options.mixup
    if mixup and net.takes_labels:
        what = f"two images cannot share the label map that {config.network_g.type} takes"
        raise OptionError("train.mixup", [f"train.mixup: {what}; set it to false"])
    model = MODELS.build(config.model_type, {}, networks={"g": net}, losses=losses, mixup=mixup)
    assert isinstance(model, Model)
    return model.to(run.device)


def _build_network(config: Config, run: Run) -> nn.Module:
    net: nn.Module = config.network_g.build()
    size = sum(parameter.numel() for parameter in net.parameters())
    logger().info(f"{config.network_g.type}: {size:,} parameters, on {run.device}")
    if run.resume_state is not None:
        logger().info(load_network(net, _weights_beside(run.resume_state), param_key="params"))
    elif config.path.pretrain_network_g is not None:
        weights = Path(config.path.pretrain_network_g)
        logger().info(load_network(net, weights, config.path.strict_load_g, config.path.param_key))
    elif run.experiment is None:
        logger().warning("path.pretrain_network_g is not given: the network has random weights")
    elif isinstance(net, HasWeightsFacts):
        facts = ", ".join(
            f"{name.replace('_', ' ')} {value:g}" for name, value in net.weights_facts().items()
        )
        logger().info(f"new weights, {facts}")
    return net


def build_dataset(options: DatasetOptions, config: Config, model: Model, phase: str) -> PairedImageDataset:
    """The data set of ``datasets.<phase>``, checked against the network and ``grouped_masks``."""
    where = f"datasets.{phase}"
    dataset = options.build(seed=config.manual_seed, train=phase == "train")
    assert isinstance(dataset, PairedImageDataset)
    check_inputs(model.networks["g"], dataset.delivers, where)
    has_labels = "labels" in dataset.delivers
    if config.grouped_masks is not None and config.grouped_masks != has_labels:
        said = f"grouped_masks is {str(config.grouped_masks).lower()}"
        what = f"{said}, but {options.type} delivers {'label maps' if has_labels else 'none'}"
        raise OptionError("grouped_masks", [f"{where}.type: {what}; remove grouped_masks or change the type"])
    logger().info(f"{where}: {options.name}, {len(dataset)} images, {', '.join(dataset.delivers)}")
    return dataset


def build_trainer(config: Config, run: Run, model: Model) -> Trainer:
    """Everything that `Trainer.run` needs, with the state of the run that is resumed."""
    options = config.train
    assert options is not None and run.experiment is not None
    if options.channels_last:
        model.to(memory_format=torch.channels_last)
    net = model.networks["g"]
    optimizer = options.optim_g.build(params=_trained(net.parameters()))()
    ema = Ema(model, options.ema_decay) if options.ema_decay else None
    state = load_contents(run.resume_state) if run.resume_state is not None else None
    samples_done = state["samples_done"] if state is not None else 0

    train_options = config.datasets["train"]
    dataset = build_dataset(train_options, config, model, "train")
    loader = train_loader(dataset, train_options, run.ranks, config.manual_seed, samples_done)
    validation = {
        item.name: evaluation_loader(build_dataset(item, config, model, phase), item, run.ranks)
        for phase, item in config.phases("val").items()
    }
    epoch_size = len(dataset) * train_options.dataset_enlarge_ratio
    batch = train_options.batch_size_per_gpu * options.accumulate * run.ranks.world_size
    logger().info(
        f"{batch} samples a step, {options.total_iter * batch / epoch_size:.1f} epochs, "
        f"{loader.num_workers} workers"
    )

    description = {"type": config.network_g.type, **config.network_g.options}
    hooks = [
        ema,
        Log(config.logger.print_freq, options.total_iter, epoch_size, run.events),
        SaveCheckpoint(config.logger.save_checkpoint_freq, run.experiment, description, ema, run.ranks),
        Validate(
            config.val.val_freq,
            validation,
            build_metrics(config.val.metrics),
            config.val,
            ema,
            run.experiment.visualization,
            run.events,
            run.ranks,
        ),
    ]
    if options.compile:
        net.compile()
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
        batches(loader),
        settings,
        run.device,
        [hook for hook in hooks if hook is not None],
    )
    if state is not None:
        _resume(trainer, ema, state, run)
    return trainer


def evaluate_all(config: Config, run: Run, model: Model, paths: ResultPaths) -> list[Evaluation]:
    """Evaluate every ``datasets.test*`` (or ``val*``, without those); ``val.save_img`` writes pictures."""
    metrics = build_metrics(config.val.metrics)
    suffix = f"_{config.val.suffix}" if config.val.suffix else ""
    results = []
    for phase, options in (config.phases("test") or config.phases("val")).items():
        loader = evaluation_loader(build_dataset(options, config, model, phase), options, run.ranks)

        def picture(key: str, name: str = options.name) -> Path:
            return paths.visualization / name / f"{key}{suffix}.png"

        wanted = picture if config.val.save_img else None
        results.append(
            evaluate(model, loader, options.name, metrics, config.val, run.device, run.ranks, wanted)
        )
    return results


def _resume(trainer: Trainer, ema: Ema | None, state: dict[str, Any], run: Run) -> None:
    assert run.resume_state is not None
    trainer.load_state_dict(state)
    if ema is not None and state["ema"] is not None:
        load_network(ema.model.networks["g"], _weights_beside(run.resume_state), param_key="params_ema")
        ema.load_state_dict(state["ema"])
    if len(state["random"]) == run.ranks.world_size:
        restore_random_state(state["random"][run.ranks.rank])
    else:
        was = len(state["random"])
        logger().warning(
            f"resumed with {run.ranks.world_size} processes, saved with {was}: random numbers start anew"
        )


def _learning_rate(options: TrainOptions) -> Any:
    schedule = options.scheduler.build()
    try:
        schedule(step=0, base_lr=1.0)
    except ValueError as error:
        raise OptionError("train.scheduler", [f"train.scheduler: {error}"]) from error
    return functools.partial(_scheduled, schedule, options.warmup_iter)


def _scheduled(schedule: Any, warmup_iter: int, step: int, base_lr: float) -> float:
    return warmed_up(schedule(step=step, base_lr=base_lr), step, base_lr, warmup_iter)


def _trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]


def _state_to_resume(config: Config, paths: ExperimentPaths, auto_resume: bool) -> Path | None:
    if config.path.resume_state is not None:
        return Path(config.path.resume_state)
    return paths.newest_state() if auto_resume else None


def _weights_beside(state: Path) -> Path:
    return ExperimentPaths(state.parent.parent).network(iteration_of(state))


def _open_events(config: Config, paths: ExperimentPaths) -> EventLog:
    options = config.logger
    wandb = None
    if options.wandb is not None and options.wandb.project is not None:
        wandb = {
            "project": options.wandb.project,
            "id": options.wandb.resume_id,
            "resume": "allow",
            "name": config.name,
            "config": effective_options(config),
        }
    return EventLog(paths.events, paths.tensorboard if options.use_tb_logger else None, wandb)


def _prepare_torch(config: Config, ranks: Ranks) -> None:
    seed_everything(config.manual_seed + ranks.rank)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not config.deterministic
