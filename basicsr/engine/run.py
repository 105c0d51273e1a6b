"""Opening and closing a run: its folder, its log, its device, the other processes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
from torch.distributed import Store

from basicsr.config.load import dump_config
from basicsr.config.paths import ExperimentPaths, ResultPaths, iteration_of, put_aside
from basicsr.config.schema import Config, effective_options
from basicsr.engine.agreement import agree, code_and_options
from basicsr.engine.resume import Resumable, find_resumable, write_trouble
from basicsr.utils.dist import (
    Ranks,
    read_ranks,
    start_process_group,
    stop_process_group,
    wait_for_all,
)
from basicsr.utils.errors import OptionError
from basicsr.utils.files import remove_dead, write_bytes
from basicsr.utils.folder_lock import FolderLock
from basicsr.utils.interruption import Interruption, explaining_workers
from basicsr.utils.launch import is_restart, launch_of
from basicsr.utils.log import EventLog, close_log, log_to_file, logger, open_log
from basicsr.utils.plugins import load_plugins
from basicsr.utils.rendezvous import join
from basicsr.utils.rng import seed_everything
from basicsr.utils.watch import Limits, Watch

Launcher = Literal["none", "pytorch", "slurm"]


@dataclass(frozen=True)
class Run:
    """Where a run happens."""

    ranks: Ranks
    device: torch.device
    watch: Watch
    lock: FolderLock | None

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Inside, an error ends all processes with the line of its cause, and releases the folder."""
        try:
            with self.watch.explaining(), explaining_workers():
                yield
        except BaseException:
            if self.lock is not None:
                self.lock.release()
            raise

    def close(self) -> None:
        """Close the log and leave the other processes and the folder."""
        close_log()
        self.watch.leave()
        stop_process_group()
        if self.lock is not None:
            self.lock.release()


@dataclass(frozen=True)
class TrainingRun(Run):
    """A training run: its folder, the state that it continues, and (main process) where numbers go.

    Args:
        found: what ``auto_resume`` found in the folder.
        interruption: whether a signal asks to leave.
    """

    paths: ExperimentPaths
    auto_resume: bool
    resume_state: Path | None
    events: EventLog | None
    found: Resumable = field(default_factory=Resumable)
    interruption: Interruption = field(default_factory=Interruption)

    @property
    def continues(self) -> bool:
        """Whether the state to resume is one of this experiment."""
        return _continues(self.paths, self.resume_state)

    def start_records(self, config: Config) -> None:
        """Write the first files, now that everything is ready: a start that fails leaves nothing behind."""
        if self.events is None:
            return
        iteration = 0
        if self.resume_state is not None:
            iteration = iteration_of(self.resume_state)
            logger().info(f"resuming from {self.resume_state}")
        if not self.continues:
            if self.auto_resume and (archived := put_aside(self.paths.root)) is not None:
                logger().info(f"nothing to resume in the earlier folder, which is now {archived}")
            self.paths.require_new()  # once more: another start may have come first
        else:
            for folder in self.paths.folders:
                remove_dead(folder)
            self.found.put_aside()
            write_trouble(self.paths, None)
            self.events.go_back(iteration)
        self.events.open()
        write_bytes(self.paths.config(iteration), dump_config(config).encode())
        write_bytes(self.paths.launch, json.dumps(launch_of(os.environ)).encode())
        log_to_file(self.paths.log(time.time()))
        _record_plugins(config, self.paths.plugins)

    def close(self) -> None:
        """Flush the numbers as well."""
        if self.events is not None:
            self.events.close()
        super().close()


@dataclass(frozen=True)
class TestingRun(Run):
    """A test run and its folder."""

    paths: ResultPaths

    def start_records(self, config: Config) -> None:
        """Put earlier results aside and write the first files, now that everything is ready."""
        if self.ranks.is_main:
            archived = put_aside(self.paths.root)
            if archived is not None:
                logger().info(f"earlier results are now in {archived}")
            write_bytes(self.paths.config, dump_config(config).encode())
            log_to_file(self.paths.log(time.time()))
            _record_plugins(config, self.paths.plugins)
        wait_for_all()  # before anybody writes pictures


def open_training(config: Config, launcher: Launcher, auto_resume: bool) -> TrainingRun:
    """Join the other processes, find what to resume, choose the device, seed. Only the lock is written.

    A run that torchrun or Slurm starts again is resumed without being asked.

    Raises:
        OptionError: the experiment exists and nobody asked to resume it, or the processes differ in their
            options, code, data or in the state to resume.
        UserError: another run writes there, the other processes do not come, or none of the checkpoints can
            be read.
    """
    ranks, paths = read_ranks(launcher, config.dist_params.port), ExperimentPaths.of(config.name)
    trained = [name for name, options in config.all_networks.items() if not options.frozen]
    with _opening(config, ranks, paths.lock, paths.root) as opened:
        # the first process decides, as launchers are known by their machine
        restarted = opened.watch.gather(is_restart(os.environ, _launch_before(paths)))[0]
        auto_resume = auto_resume or restarted
        found = find_resumable(paths, trained) if auto_resume else Resumable()
        state = found.state
        if state is None and config.path.resume_state is not None:
            state = Path(config.path.resume_state)
        if ranks.is_main and not auto_resume and not _continues(paths, state):
            paths.require_new()
        if len(set(opened.watch.gather(None if state is None else str(state)))) > 1:
            what = f"not every process finds the same state in {paths.root}"
            hint = "every machine needs that folder as the main process writes it, such as on a shared disk"
            raise OptionError("--auto_resume", [f"--auto_resume: {what}; {hint}"])
        _start(config, opened, config.manual_seed + ranks.rank)
    if ranks.is_main:
        found.warn()
    torch.backends.cudnn.benchmark = not config.deterministic  # crops have one size
    events = _event_log(config, paths) if ranks.is_main else None
    return TrainingRun(
        ranks, opened.device, opened.watch, opened.lock, paths, auto_resume, state, events, found
    )


def open_testing(config: Config, launcher: Launcher) -> TestingRun:
    """Join the other processes, choose the device, seed. Only the lock is written."""
    ranks, paths = read_ranks(launcher, config.dist_params.port), ResultPaths.of(config.name)
    with _opening(config, ranks, paths.lock, paths.root) as opened:
        _start(config, opened, config.manual_seed)
    return TestingRun(ranks, opened.device, opened.watch, opened.lock, paths)


def device_of_process(num_gpu: int | Literal["auto"], ranks: Ranks) -> torch.device:
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
    # slurm may show each task a single GPU
    return torch.device("cuda", ranks.local_rank % torch.cuda.device_count())


@dataclass
class _Opened:
    """The parts of a run that exist before it starts."""

    ranks: Ranks
    device: torch.device
    watch: Watch
    store: Store | None
    lock: FolderLock | None = None


@contextmanager
def _opening(config: Config, ranks: Ranks, lock: Path, folder: Path) -> Iterator[_Opened]:
    """Join the other processes, of the same options and code; the main one locks the folder."""
    open_log(ranks.is_main)
    options = config.dist_params
    limits = Limits(options.join_timeout, options.heartbeat_timeout, options.timeout, options.warn_after)
    watch, store = join(ranks, limits)
    opened = _Opened(ranks, device_of_process(config.num_gpu, ranks), watch, store)
    try:
        with watch.explaining():
            agree(watch, code_and_options(config))
            if ranks.is_main:
                opened.lock = FolderLock(lock, folder, "choose another name: --set name=...")
            yield opened
    except BaseException:
        if opened.lock is not None:
            opened.lock.release()
        raise


def _start(config: Config, opened: _Opened, seed: int) -> None:
    patience = timedelta(seconds=config.dist_params.timeout + 60)  # the watch ends first, with the cause
    start_process_group(opened.ranks, opened.device, config.dist_params.backend, opened.store, patience)
    seed_everything(seed)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def _launch_before(paths: ExperimentPaths) -> dict[str, str]:
    try:
        content = json.loads(paths.launch.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _record_plugins(config: Config, folder: Path) -> None:
    for plugin in load_plugins(config.plugins, "plugins"):
        plugin.keep(folder)
        logger().info(plugin.summary)


def _continues(paths: ExperimentPaths, state: Path | None) -> bool:
    return state is not None and state.parent.parent.resolve() == paths.root.resolve()


def _event_log(config: Config, paths: ExperimentPaths) -> EventLog:
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
