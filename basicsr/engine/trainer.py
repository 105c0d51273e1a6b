"""The training loop and nothing else; what happens around a step is in `basicsr.engine.hooks`."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from basicsr.models.base import Batch, Model
from basicsr.utils.dist import gather_objects
from basicsr.utils.errors import UserError
from basicsr.utils.rng import capture_random_state, restore_random_state

AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

_STATE_KEYS = {
    "iteration", "samples_done", "skipped_steps", "optimizer_type", "optimizer", "scaler", "random", "ema",
}  # fmt: skip

# So many useless steps in a row never come from a scaler that looks for its scale.
_MOST_SKIPPED_IN_A_ROW = 100


@dataclass(frozen=True)
class StepSettings:
    """How one optimizer step is made.

    Args:
        accumulate: batches per step.
        amp: autocast type of the forward pass.
        clip_norm: largest gradient norm; None does not clip.
        channels_last: memory layout of images.
    """

    accumulate: int = 1
    amp: Literal["off", "bf16", "fp16"] = "off"
    clip_norm: float | None = None
    channels_last: bool = False


class Hook:
    """Something done around steps; ``after_step`` is called after every iteration."""

    def before_run(self, trainer: Trainer) -> None:
        """Before the first iteration."""

    def after_step(self, trainer: Trainer) -> None:
        """After each iteration; ``trainer.iteration`` counts finished ones."""


class Trainer:
    """Trains ``model`` on endless ``batches``. One process or many, CPU or GPU: the same code.

    Args:
        model: on ``device``.
        optimizer: over the parameters of ``model.networks``.
        learning_rate: (step, base_lr) -> rate, with ``step`` the number of finished iterations.
        batches: batches of this process.
        settings: how a step is made.
        device: where it happens.
        hooks: called in this order.

    Attributes:
        iteration: finished iterations.
        total_iter: iterations of the whole run, once it runs.
        samples_done: samples of the training stream that are used up, over all processes.
        skipped_steps: iterations whose loss or gradients were not finite and therefore changed nothing.
        last_losses: the scalars of the last iteration (means over accumulated batches), on the device; empty
            when it was skipped.
        last_loss: the one that is minimized, of this process, also when the iteration was skipped.
        last_norm: of the gradient, before it is clipped.
        broken_inputs: fields of samples, of all processes, that were not finite in the last iteration, if it
            was skipped: ``lq of photo_3``.
        broken_terms: names of losses, of this process, that were not finite then.
        step_seconds: time spent in iterations since the start, without hooks.
        data_seconds: the part of it spent waiting for batches.
    """

    def __init__(
        self,
        model: Model,
        optimizer: torch.optim.Optimizer,
        learning_rate: Callable[[int, float], float],
        batches: Iterator[Batch],
        settings: StepSettings,
        device: torch.device,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batches = batches
        self.settings = settings
        self.device = device
        self.hooks = list(hooks)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.amp == "fp16")
        self.iteration = 0
        self.total_iter = 0
        self.samples_done = 0
        self.skipped_steps = 0
        self.last_losses: dict[str, Tensor] = {}
        self.last_loss = 0.0
        self.last_norm = 0.0
        self.broken_inputs: list[str] = []
        self.broken_terms: list[str] = []
        self.step_seconds = 0.0
        self.data_seconds = 0.0
        self._skipped_in_a_row = 0
        self._batches: list[Batch] = []  # of the iteration
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._buffers = list(model.buffers())
        self._forward: torch.nn.Module = model

    def run(self, total_iter: int) -> None:
        """Iterate until ``total_iter`` iterations are finished, those before a resume included."""
        self.total_iter = total_iter
        self.model.train()
        for hook in self.hooks:
            hook.before_run(self)
        with self._sharing_gradients():
            while self.iteration < total_iter:
                self._step()
                for hook in self.hooks:
                    hook.after_step(self)

    @property
    def was_skipped(self) -> bool:
        """Whether the last iteration changed nothing."""
        return not self.last_losses

    def is_due(self, every: int) -> bool:
        """Whether to do now what is done every ``every`` iterations and after the last one."""
        return self.iteration % every == 0 or self.iteration == self.total_iter

    @contextmanager
    def _sharing_gradients(self) -> Iterator[None]:
        """Inside, backward passes leave the mean gradient of all processes, where there are several."""
        if not dist.is_initialized():
            yield
            return
        # Layouts of 1x1 gradients differ in name only; each process would print this hint about speed.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        self._forward = DistributedDataParallel(self.model)
        self._settle_buckets()
        try:
            yield
        finally:
            self._forward = self.model

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs besides the weights and the random states."""
        return {
            "iteration": self.iteration,
            "samples_done": self.samples_done,
            "skipped_steps": self.skipped_steps,
            "optimizer_type": type(self.optimizer).__name__,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "model": self.model.own_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the iteration in which `state_dict` was called. The batches are not part of it.

        Raises:
            ValueError: it is the state of another optimizer or of other weights, or damaged.
        """
        if state["optimizer_type"] != type(self.optimizer).__name__:
            raise ValueError(f"it belongs to {state['optimizer_type']}, not {type(self.optimizer).__name__}")
        self.iteration = state["iteration"]
        self.samples_done = state["samples_done"]
        self.skipped_steps = state["skipped_steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        for kept in self.optimizer.state.values():
            if not float(kept.get("step", 0)) >= 0:  # its root would be no real number
                raise ValueError(f"the optimizer has made {float(kept['step']):g} steps")
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.model.load_own_state(state.get("model", {}))

    def _step(self) -> None:
        started = time.perf_counter()
        for group, base_rate in zip(self.optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = self.learning_rate(self.iteration, base_rate)
        self.optimizer.zero_grad(set_to_none=True)
        self.last_losses = {}
        before = self._copied_buffers()
        for turn in range(self.settings.accumulate):
            self._accumulate(is_last=turn == self.settings.accumulate - 1)
        if not self._update():
            self._restore_buffers(before)
        self._batches = []
        self.iteration += 1
        self.step_seconds += time.perf_counter() - started

    def _accumulate(self, is_last: bool) -> None:
        """Add the gradients of one batch; processes exchange them with the last one only."""
        batch = self._next_batch()
        self._batches.append(batch)
        postpone = isinstance(self._forward, DistributedDataParallel) and not is_last
        with self._forward.no_sync() if postpone else nullcontext():  # type: ignore[operator]
            losses = self._backward(batch)
        for name, value in losses.items():
            share = value.detach() / self.settings.accumulate
            self.last_losses[name] = self.last_losses[name] + share if name in self.last_losses else share

    def _backward(self, batch: Batch) -> dict[str, Tensor]:
        amp = self.settings.amp
        with torch.autocast(self.device.type, AMP_TYPES[amp]) if amp != "off" else nullcontext():
            losses = self._forward(batch)
        loss = losses["loss"]
        # A loss may be NaN and its gradient not (that of L1 is a sign); so NaN reaches all processes.
        loss = loss * torch.where(loss.isfinite(), 1.0, torch.nan)
        self.scaler.scale(loss / self.settings.accumulate).backward()
        return losses

    def _settle_buckets(self) -> None:
        """A backward pass that does not count: after its first one, DDP sorts gradients into new buckets.

        Without it a resumed run would add up the gradients of the processes in another order than the run
        that it continues, and differ in the last bits.
        """
        first = next(self.batches)
        self.batches = itertools.chain([first], self.batches)
        before, buffers = capture_random_state(), self._copied_buffers()
        self._backward(move_to(first, self.device, self.settings.channels_last))
        self.optimizer.zero_grad(set_to_none=True)
        self._restore_buffers(buffers)
        restore_random_state(before)

    def _copied_buffers(self) -> list[Tensor]:
        """What forward passes may change, such as the running means of batch normalization."""
        return [buffer.clone() for buffer in self._buffers]

    def _restore_buffers(self, copies: list[Tensor]) -> None:
        for buffer, copy in zip(self._buffers, copies, strict=True):
            buffer.copy_(copy)

    def _update(self) -> bool:
        """Clip and step, or skip if a gradient is not finite; all processes have the same ones and agree.

        Returns:
            Whether the step was taken.
        """
        self.scaler.unscale_(self.optimizer)
        gradients = [one.grad for one in self._parameters if one.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self.settings.clip_norm, norm)
        # In one transfer, as each waits for the device.
        self.last_norm, self.last_loss = torch.stack(
            [norm.double(), self.last_losses["loss"].double()]
        ).tolist()
        is_finite = math.isfinite(self.last_norm)
        if is_finite:
            self.scaler.step(self.optimizer)
            self._skipped_in_a_row = 0
        else:
            self._skip()
        self.scaler.update()
        return is_finite

    def _skip(self) -> None:
        """Count the step, and find out why it is skipped."""
        found = [name for batch in self._batches for name in broken_inputs(batch)]
        self.broken_inputs = [name for names in gather_objects(found) for name in names]
        self.broken_terms = [name for name, value in self.last_losses.items() if not value.isfinite()]
        self.last_losses = {}
        self.skipped_steps += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row == _MOST_SKIPPED_IN_A_ROW:
            what = f"{_MOST_SKIPPED_IN_A_ROW} steps in a row had gradients that are not finite"
            hint = "Lower train.optim_g.lr or set train.amp=off"
            if self.broken_inputs:
                what += f", the last one because of {self.broken_inputs[0]}"
                hint = "Fix the data"
            back = "--auto_resume then goes back to before"
            raise UserError(f"iteration {self.iteration + 1}: {what}. {hint}; {back}")

    def _next_batch(self) -> Batch:
        started = time.perf_counter()
        batch = move_to(next(self.batches), self.device, self.settings.channels_last)
        self.data_seconds += time.perf_counter() - started
        world_size = dist.get_world_size() if dist.is_initialized() else 1
        self.samples_done += len(batch["key"]) * world_size
        return batch


def broken_inputs(batch: Batch) -> list[str]:
    """Which fields of which samples are not finite: ``lq of photo_3``."""
    return [
        f"{name} of {key}"
        for name, value in batch.items()
        if isinstance(value, Tensor) and value.is_floating_point()
        if value.ndim and len(value) == len(batch["key"])
        for key, sample in zip(batch["key"], value, strict=True)
        if not sample.isfinite().all()
    ]


def is_training_state(contents: Mapping[str, Any]) -> bool:
    """Whether a file holds what `SaveCheckpoint` writes: `Trainer.state_dict`, random states and average."""
    return contents.keys() >= _STATE_KEYS


def move_to(batch: Batch, device: torch.device, channels_last: bool = False) -> Batch:
    """The batch with its tensors on ``device``; from pinned memory the copy does not wait."""
    moved = {}
    for name, value in batch.items():
        if isinstance(value, Tensor):
            value = value.to(device, non_blocking=True)
            if channels_last and value.ndim == 4:
                value = value.contiguous(memory_format=torch.channels_last)
        moved[name] = value
    return moved
