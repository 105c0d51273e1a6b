"""Processes of one run: who am I, and a few collectives that also work without a process group."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist

from basicsr.utils.errors import OptionError


@dataclass(frozen=True)
class Ranks:
    """This process among all (``rank`` of ``world_size``) and among those of its machine."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def read_ranks(launcher: Literal["none", "pytorch", "slurm"], port: int) -> Ranks:
    """Ranks from the environment of the launcher; torchrun is recognized without being named.

    Args:
        launcher: ``none`` is one process; ``pytorch`` is torchrun; ``slurm`` is srun, one task a GPU.
        port: where slurm tasks meet, unless MASTER_PORT is set.

    Raises:
        OptionError: the environment is not that of the launcher.
    """
    if launcher == "none" and "TORCHELASTIC_RUN_ID" in os.environ:
        launcher = "pytorch"
    if launcher == "none":
        return Ranks()
    if launcher == "slurm":
        os.environ.update(slurm_environment(os.environ, port))
    missing = [
        name
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        if name not in os.environ
    ]
    if missing:
        what = f"{', '.join(missing)} not set; start with torchrun --nproc_per_node=N basicsr/train.py"
        raise OptionError("--launcher", [f"--launcher {launcher}: {what}"])
    world_size = _number(os.environ, "WORLD_SIZE", 1)
    local_world_size = world_size
    if "LOCAL_WORLD_SIZE" in os.environ:
        local_world_size = _number(os.environ, "LOCAL_WORLD_SIZE", 1)
    rank = _number(os.environ, "RANK", 0, world_size - 1)
    _number(os.environ, "MASTER_PORT", 1, 65535)
    return Ranks(rank, world_size, _number(os.environ, "LOCAL_RANK", 0), local_world_size)


def _number(environment: Mapping[str, str], name: str, least: int, most: int | None = None) -> int:
    """The value of a variable.

    Raises:
        OptionError: it is not a whole number from ``least`` to ``most``.
    """
    text = environment[name]
    if re.fullmatch(r"[0-9]{1,9}", text) is None or not least <= int(text) <= (most or int(text)):
        wanted = f"a number of at least {least}" if most is None else f"a number from {least} to {most}"
        raise OptionError("--launcher", [f"{name}: expected {wanted} (got {text!r})"])
    return int(text)


def slurm_environment(environment: Mapping[str, str], port: int) -> dict[str, str]:
    """torchrun's variables from slurm's. The node list is parsed here; no other program sees it.

    Raises:
        OptionError: not started by srun, invalid numbers, or an invalid node list.
    """
    for name in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NODELIST"):
        if name not in environment:
            raise OptionError("--launcher", [f"--launcher slurm: {name} not set; start with srun"])
    tasks = _number(environment, "SLURM_NTASKS", 1)
    nodes = _number(environment, "SLURM_NNODES", 1) if "SLURM_NNODES" in environment else 1
    per_node = -(-tasks // nodes)
    if "SLURM_NTASKS_PER_NODE" in environment:
        per_node = _number(environment, "SLURM_NTASKS_PER_NODE", 1)
    return {
        "RANK": str(_number(environment, "SLURM_PROCID", 0, tasks - 1)),
        "WORLD_SIZE": str(tasks),
        "LOCAL_RANK": str(_number(environment, "SLURM_LOCALID", 0)),
        "LOCAL_WORLD_SIZE": str(per_node),
        "MASTER_ADDR": environment.get("MASTER_ADDR", first_host(environment["SLURM_NODELIST"])),
        "MASTER_PORT": environment.get("MASTER_PORT", str(port)),
    }


def first_host(nodes: str) -> str:
    """The first host of a slurm node list: ``"gpu[03-05,9],login"`` -> ``"gpu03"``."""
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[([0-9]+)[0-9,-]*\]([A-Za-z0-9._-]*))?(?:,|$)", nodes)
    if match is None:
        raise OptionError("--launcher", [f"SLURM_NODELIST: not a list of hosts (got {nodes!r})"])
    return match.group(1) + (match.group(2) or "") + (match.group(3) or "")


def start_process_group(
    ranks: Ranks,
    device: torch.device,
    backend: str | None,
    store: dist.Store | None = None,
    timeout: timedelta | None = None,
) -> None:
    """Join the other processes, if there are any. On CPU the backend is gloo, whatever is requested.

    Args:
        store: where they meet, from `basicsr.utils.rendezvous.join`.
        timeout: of collectives.
    """
    if ranks.world_size == 1:
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    chosen = "gloo" if device.type == "cpu" else backend or "nccl"
    dist.init_process_group(
        chosen, store=store, rank=ranks.rank, world_size=ranks.world_size, timeout=timeout
    )


def stop_process_group() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def collectives_begun() -> int:
    """How many collectives this process has begun, those that share gradients included."""
    group: Any = dist.group.WORLD if dist.is_available() else None
    return 0 if group is None else int(group._get_sequence_number_for_group())


def gather_objects(item: Any) -> list[Any]:
    """``item`` of every process, in rank order, on every process."""
    if not dist.is_initialized():
        return [item]
    items: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(items, item)
    return items


def wait_for_all() -> None:
    """Return when every process has come here."""
    gather_objects(None)


def any_process(is_so: bool, device: torch.device) -> bool:
    """Whether ``is_so`` holds in any process; a collective, on the device of the process."""
    if not dist.is_initialized():
        return is_so
    flag = torch.tensor(int(is_so), device=device)
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)


def mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Element-wise mean over the processes; a collective."""
    if not dist.is_initialized():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
