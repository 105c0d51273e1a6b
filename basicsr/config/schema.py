"""Every key of an option file: its type, its default, its meaning and its unit.

Blocks with a ``type:`` (networks, datasets, losses, metrics, optimizers, schedulers) hold further keys, which
are the arguments of the class or function of that name; see `basicsr.utils.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from basicsr.utils.convert import Count, ExistingFile, Mistakes, Name, WeightFile, join, struct_values
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import (
    ARCHS,
    DATASETS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    TRANSFORMS,
    Registry,
    split_type,
)

Whole = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Command = Literal["train", "test", "demo"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A block of keys; unknown ones are mistakes."""


class Component(Options, frozen=True, kw_only=True):
    """A block whose ``type`` names a registry entry; keys that are not fields are options of that entry."""

    type: str
    options: dict[str, Any] = {}
    registry: ClassVar[Registry]

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any], where: str, mistakes: Mistakes) -> Component | None:
        """Split ``value`` into fields and options and check both."""
        frame = struct_values(cls, value, where, mistakes, skip=("options",))
        options = {key: item for key, item in value.items() if key not in frame.known}
        if "type" in value:
            cls.registry.check(value["type"], options, where, mistakes, beside=tuple(frame.known))
        return cls(**frame.values, options=options) if frame.complete else None

    def build(self, **runtime: Any) -> Any:
        """The instance (or the bound function) that this block describes.

        Raises:
            OptionError: the options contradict each other.
        """
        try:
            return self.registry.build(self.type, self.options, **runtime)
        except ValueError as error:
            raise OptionError(f"{self.registry.role} {self.type}", [str(error)]) from error


class NetworkOptions(Component, frozen=True, kw_only=True):
    """A network and what it starts from.

    ``weights``: a file, or the name of a network whose weights are bundled. Without a ``type`` the
    network is the one that the file describes, with the options given beside it changed.
    ``frozen``: it is neither trained nor saved, and runs in evaluation mode. ``strict``: every weight of the
    file must fit. ``param_key``: see ``path``.
    """

    registry = ARCHS

    type: str = ""
    weights: WeightFile | None = None
    frozen: bool = False
    strict: bool = True
    param_key: str | None = None

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any], where: str, mistakes: Mistakes) -> Component | None:
        if "type" not in value and value.get("weights") is None:
            mistakes.add(join(where, "type"), "required, but not given (or weights, whose file describes it)")
            return None
        return super().from_mapping(value, where, mistakes)


class LossOptions(Component, frozen=True, kw_only=True):
    registry = LOSSES


class MetricOptions(Component, frozen=True, kw_only=True):
    registry = METRICS


class OptimizerOptions(Component, frozen=True, kw_only=True):
    registry = OPTIMIZERS


class ScheduleOptions(Component, frozen=True, kw_only=True):
    registry = SCHEDULES


class DatasetOptions(Component, frozen=True, kw_only=True):
    """A data set and how its samples are loaded.

    ``name`` is the row in tables and the folder of pictures. ``num_worker_per_gpu`` never exceeds the cores.
    ``batch_size_total``: samples per optimizer step, over all processes and accumulated batches,
    of which each process loads its even share; ``batch_size_per_gpu`` (null is 1) instead fixes one batch of
    one process, so a step sees more samples with more processes. For testing, see ``val.batch_size``.
    ``dataset_enlarge_ratio`` shows each image that many times per epoch, with other random numbers each time.
    With ``pin_memory`` or ``prefetch_mode: cuda`` batches wait in pinned memory, and are copied to the GPU
    asynchronously; ``prefetch_mode: cpu`` and null leave it to ``pin_memory``.
    ``unreadable``: a training sample that cannot be read ends the run (``stop``) or is replaced by another
    one (``skip``), and the file is listed at the end.
    ``worker_timeout``: seconds without a batch until the processes that load data count as stuck, which ends
    the run.
    """

    registry = DATASETS

    name: Name
    use_shuffle: bool = True
    num_worker_per_gpu: Whole = 4
    batch_size_per_gpu: Count | None = None
    batch_size_total: Count | None = None
    dataset_enlarge_ratio: Count = 1
    prefetch_mode: Literal["cpu", "cuda"] | None = None
    num_prefetch_queue: Count = 2
    pin_memory: bool = True
    unreadable: Literal["stop", "skip"] = "stop"
    worker_timeout: Seconds = 600.0


class PathOptions(Options, frozen=True, kw_only=True):
    """Weights to start from. ``pretrain_network_g``: a file, or the name of a network whose weights are
    bundled. ``param_key``: entry of the file, or the beginning of the names of its weights; null takes
    ``params_ema``, then ``params``, then what is unambiguous. Both belong to ``network_g``, and are an
    alternative to its ``weights``.
    """

    pretrain_network_g: WeightFile | None = None
    strict_load_g: bool = True
    param_key: str | None = None
    resume_state: ExistingFile | None = None


class TrainOptions(Options, frozen=True, kw_only=True):
    """How the network is trained; one iteration is one optimizer step.

    ``warmup_iter``: iterations in which the learning rate rises from 0; -1 is none. ``use_grad_clip`` clips
    the gradient norm at ``grad_clip_norm``. ``mixup`` blends pairs of samples. ``accumulate``: batches per
    optimizer step. ``ema_decay``: decay of the averaged copy of the weights, 0 is none. ``amp``: autocast
    type of the forward pass. ``losses``: any number, by the name that the log shows; ``pixel_opt`` and
    ``perceptual_opt`` are two more, ``l_pix`` and ``l_percep``. ``compile`` compiles the whole step, but not
    in float32 on a CPU, where compiled steps are slower.
    """

    optim_g: OptimizerOptions
    scheduler: ScheduleOptions
    total_iter: Count
    warmup_iter: Annotated[int, Meta(ge=-1)] = -1
    use_grad_clip: bool = True
    grad_clip_norm: Annotated[float, Meta(gt=0)] = 0.01
    mixup: bool = False
    pixel_opt: LossOptions | None = None
    perceptual_opt: LossOptions | None = None
    losses: dict[str, LossOptions] = {}
    amp: Literal["off", "bf16", "fp16"] = "off"
    channels_last: bool = True
    compile: bool = False
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    accumulate: Count = 1

    @property
    def all_losses(self) -> dict[str, LossOptions]:
        """The losses by the name that the log shows."""
        usual = {"l_pix": self.pixel_opt, "l_percep": self.perceptual_opt}
        return {name: item for name, item in usual.items() if item is not None} | self.losses


class ValOptions(Options, frozen=True, kw_only=True):
    """How images are restored and judged, in training and in testing.

    ``batch_size``: consecutive images of equal size that are restored at once. ``grids`` cuts windows of
    ``crop_size_h`` x ``crop_size_w`` pixels (at most ``max_minibatch`` at once) and averages where they
    overlap, as published. ``tile`` cuts windows of that many pixels, ``tile_overlap`` of which are blended
    with the neighbor. ``use_image``: metrics see 8-bit images; false: unrounded values in [0, 1]. ``rgb2bgr:
    false`` writes the network's channels in reverse order, for networks trained on BGR. ``suffix`` is
    appended to picture names. ``report``: testing writes ``report.html``, a page that shows the results.
    ``metrics``: by the name that tables show; null is ``psnr`` (calculate_psnr) and ``ssim``
    (calculate_ssim).
    """

    val_freq: Count | None = None
    save_img: bool = False
    batch_size: Count = 1
    grids: bool = False
    crop_size_h: Count | None = None
    crop_size_w: Count | None = None
    max_minibatch: Count | None = None
    tile: Count | None = None
    tile_overlap: Whole = 32
    rgb2bgr: bool = True
    use_image: bool = True
    suffix: str | None = None
    report: bool = True
    metrics: dict[str, MetricOptions] | None = None

    @property
    def judged_by(self) -> dict[str, MetricOptions]:
        """``metrics``, or the usual two."""
        if self.metrics is not None:
            return self.metrics
        return {"psnr": MetricOptions(type="calculate_psnr"), "ssim": MetricOptions(type="calculate_ssim")}


class WandbOptions(Options, frozen=True, kw_only=True):
    """Weights & Biases; without a project it is off."""

    project: str | None = None
    resume_id: str | None = None


class LoggerOptions(Options, frozen=True, kw_only=True):
    """Frequencies are in iterations.

    ``keep_last``: that many checkpoints, and the newest from before any trouble; null keeps all.
    ``keep_best``: a name of ``val.metrics``; the validated weights that are best by it, over all validation
    sets, are ``net_g_best.pth``. ``use_tb_logger``: numbers and, of each validation set, pictures of the
    first 4 images go to TensorBoard (``tb_logger/``): input, result, ground truth, regions.
    """

    print_freq: Count = 100
    save_checkpoint_freq: Count = 5000
    keep_last: Count | None = None
    keep_best: str | None = None
    use_tb_logger: bool = False
    wandb: WandbOptions | None = None


class DistOptions(Options, frozen=True, kw_only=True):
    """``backend`` null: nccl on GPUs, gloo on CPU. ``port`` serves slurm; torchrun sets its own.

    Times are in seconds. ``join_timeout``: until all processes have come together at the start.
    ``heartbeat_timeout``: without a sign of life from one (stopped, dead or cut off), which ends the
    run. ``warn_after``: until the process that the others wait for is named; ``timeout``: until that ends the
    run.
    """

    backend: Literal["nccl", "gloo"] | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = 29500
    join_timeout: Seconds = 300.0
    heartbeat_timeout: Seconds = 45.0
    warn_after: Seconds = 60.0
    timeout: Seconds = 1800.0


class Config(Options, frozen=True, kw_only=True):
    """A whole option file. ``num_gpu``: 0 is CPU; the launcher sets the number of processes.

    ``model_opt`` are options of the model. ``networks``: those that it works with beside ``network_g``.
    ``plugins``: own Python files, relative to this file, or modules, that register networks, losses and the
    like, which the file may then name.

    ``grouped_masks`` is checked against what the data sets deliver. ``deterministic`` asks PyTorch for
    deterministic algorithms, which costs speed on GPUs.
    """

    name: Name
    plugins: list[str] = []
    model_type: str = "ImageRestorationModel"
    model_opt: dict[str, Any] = {}
    scale: Annotated[int, Meta(ge=1, le=1)] = 1
    num_gpu: Whole | Literal["auto"] = "auto"
    manual_seed: Whole = 42
    grouped_masks: bool | None = None
    deterministic: bool = False
    datasets: dict[str, DatasetOptions]
    network_g: NetworkOptions
    networks: dict[str, NetworkOptions] = {}
    path: PathOptions = PathOptions()
    train: TrainOptions | None = None
    val: ValOptions = ValOptions()
    logger: LoggerOptions = LoggerOptions()
    dist_params: DistOptions = DistOptions()

    @property
    def all_networks(self) -> dict[str, NetworkOptions]:
        """The networks by name; ``network_g`` is ``g``."""
        return {"g": self.network_g, **self.networks}

    def phases(self, kind: Literal["train", "val", "test"]) -> dict[str, DatasetOptions]:
        """Data sets whose key starts with ``kind``, in the order of the file."""
        return {key: item for key, item in self.datasets.items() if key.startswith(kind)}

    def tested(self) -> dict[str, DatasetOptions]:
        """What testing evaluates: every ``test*``, or every ``val*`` where there is none."""
        return self.phases("test") or self.phases("val")


def network_place(name: str) -> str:
    """The place of a network's block in an option file."""
    return "network_g" if name == "g" else f"networks.{name}"


def effective_options(options: Any) -> Any:
    """``options`` as plain values for YAML, defaults of frame and components included."""
    if isinstance(options, Component):
        plain = {
            item.name: effective_options(getattr(options, item.name))
            for item in msgspec.structs.fields(options)
            if item.name != "options" and (item.name != "type" or options.type)
        }
        known = options.registry.options(options.type) if options.type else {}
        plain |= {key: effective_options(item) for key, item in options.options.items() if not known}
        for key, option in known.items():
            if key in options.options:
                plain[key] = effective_options(options.options[key])
            elif not option.required:
                plain[key] = effective_options(option.default)
        return plain
    if isinstance(options, msgspec.Struct):
        return {
            item.name: effective_options(getattr(options, item.name))
            for item in msgspec.structs.fields(options)
        }
    if isinstance(options, dict):
        return {key: effective_options(item) for key, item in options.items()}
    if isinstance(options, (list, tuple)):
        return [effective_options(item) for item in options]
    return options


def semantic_mistakes(config: Config, command: Command) -> list[str]:
    """Mistakes that only show when several keys are seen together, one line each."""
    mistakes = Mistakes()
    for key, dataset in config.datasets.items():
        if not key.startswith(("train", "val", "test")) or (key.startswith("train") and key != "train"):
            mistakes.add(f"datasets.{key}", "a data set is called train, val, val_2.., test, test_2..")
        if key != "train" and dataset.unreadable == "skip":
            what = "evaluation needs every image; leave it out"
            mistakes.add(f"datasets.{key}.unreadable", what, dataset.unreadable)
    evaluated = config.phases("val") if command == "train" else config.tested()
    names = [dataset.name for dataset in evaluated.values()]
    for key, dataset in evaluated.items():
        if names.count(dataset.name) > 1:
            place = join(f"datasets.{key}", "name")
            mistakes.add(place, "two data sets have this name; results would mix", dataset.name)
    if command == "train":
        if config.train is None:
            mistakes.add("train", "required for training, but not given")
        else:
            _check_losses(config.train, config.model_type, mistakes)
        if "train" not in config.datasets:
            mistakes.add("datasets.train", "required for training, but not given")
    elif command == "test" and not config.tested():
        mistakes.add("datasets.test", "required for testing, but not given")
    _check_networks(config, mistakes)
    if command == "train" and "train" in config.datasets:
        _check_batches(config.datasets["train"], mistakes)
    best = config.logger.keep_best
    if command == "train" and best is not None and best not in config.val.judged_by:
        known = ", ".join(config.val.judged_by) or "none"
        mistakes.add("logger.keep_best", f"expected a name of val.metrics ({known})", best)
    if command == "train" and config.train is not None:
        _check_schedule(config.train, mistakes)
    if config.val.grids and (config.val.crop_size_h is None or config.val.crop_size_w is None):
        mistakes.add("val.grids", "needs val.crop_size_h and val.crop_size_w")
    if config.val.grids and config.val.tile is not None:
        mistakes.add("val.tile", "cannot be combined with val.grids; keep one of them")
    if config.val.tile is not None and config.val.tile_overlap >= config.val.tile:
        mistakes.add("val.tile_overlap", "must be smaller than val.tile", config.val.tile_overlap)
    return mistakes.lines


def _check_networks(config: Config, mistakes: Mistakes) -> None:
    """The names of networks are those that the model works with."""
    if "g" in config.networks:
        mistakes.add("networks.g", "is called network_g; move it there")
    if config.network_g.weights is not None and config.path.pretrain_network_g is not None:
        mistakes.add("network_g.weights", "cannot be combined with path.pretrain_network_g; keep one of them")
    if config.model_type not in MODELS.names():
        return  # reported elsewhere
    model: Any = MODELS[config.model_type]
    names, further = model.network_names, model.further_networks
    for name in config.networks:
        if name not in names and name != "g" and not (further and name.startswith(further)):
            known = ", ".join([*names, *([f"{further}.."] if further else [])])
            mistakes.add(f"networks.{name}", f"{config.model_type} has no network of this name, but {known}")
    for name in names:
        if name not in config.all_networks:
            mistakes.add(f"networks.{name}", f"required by {config.model_type}, but not given")


def _check_losses(train: TrainOptions, model_type: str, mistakes: Mistakes) -> None:
    for name in ("l_pix", "l_percep", "loss"):
        if name in train.losses:
            mistakes.add(f"train.losses.{name}", "this name is taken; choose another")
    if train.all_losses or model_type not in MODELS.names():
        return
    if MODELS[model_type].needs_losses:  # type: ignore[attr-defined]
        mistakes.add("train.pixel_opt", "no loss is given; a PSNRLoss is usual")


def _check_batches(train: DatasetOptions, mistakes: Mistakes) -> None:
    if train.batch_size_total is not None and train.batch_size_per_gpu is not None:
        what = "cannot be combined with batch_size_per_gpu; set one of them to null"
        mistakes.add("datasets.train.batch_size_total", what, train.batch_size_total)
    largest = train.batch_size_total or train.batch_size_per_gpu or 1
    if train.options.get("transforms") is not None:
        _check_transforms(train, largest > 1, mistakes)
    elif largest > 1 and "gt_size" in train.registry.options(train.type) and not train.options.get("gt_size"):
        what = "required where a batch can have several images: they have one size"
        mistakes.add("datasets.train.gt_size", what)


def _check_transforms(train: DatasetOptions, several: bool, mistakes: Mistakes) -> None:
    """They stand alone, can be made, and give one size where a batch has several images."""
    where = "datasets.train.transforms"
    for key in ("gt_size", "use_flip", "use_rot"):
        if train.options.get(key):
            what = "cannot be combined with transforms; make it one of them, and set this to null"
            mistakes.add(f"datasets.train.{key}", what, train.options[key])
    one_size = False
    for index, block in enumerate(train.options["transforms"]):
        try:
            one_size |= TRANSFORMS.build(*split_type(block)).one_size
        except ValueError as error:
            mistakes.add(f"{where}[{index}]", str(error))
    if several and not one_size:
        what = "a batch can have several images, which then need one size; add {type: RandomCrop, size: ..}"
        mistakes.add(where, what)


def _check_schedule(train: TrainOptions, mistakes: Mistakes) -> None:
    """The schedule has to define a rate for every step of the run."""
    base_lr = float(effective_options(train.optim_g)["lr"])
    schedule = train.scheduler.build()
    try:
        for step in (0, train.total_iter):
            schedule(step=step, base_lr=base_lr)
    except (OverflowError, ValueError) as error:
        mistakes.add("train.scheduler", f"{error}; make it fit train.total_iter and train.optim_g.lr")
