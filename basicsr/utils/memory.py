"""How much memory a computation may take, and has taken."""

from __future__ import annotations

from pathlib import Path

import torch

from basicsr.utils.allocator import return_freed_memory

# Where the system does not report it.
_GUESS = 4 << 30
_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that are free on ``device``; for the CPU also within the limit of the container, if any."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return_freed_memory()  # so that it counts as free
    limit = _left_in_container()
    return _available() if limit is None else min(_available(), limit)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes that this process has held: in tensors of a GPU, or resident for the CPU.

    None where the system does not report it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kibibytes = _kibibytes(Path("/proc/self/status"), "VmHWM:")
    return None if kibibytes is None else kibibytes << 10


def is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch or Python ran out of memory, on a GPU or on the CPU."""
    # On the CPU, PyTorch has no class for it.
    is_cpu_error = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return is_cpu_error or isinstance(error, (torch.OutOfMemoryError, MemoryError))


def _available() -> int:
    kibibytes = _kibibytes(Path("/proc/meminfo"), "MemAvailable:")
    return _GUESS if kibibytes is None else kibibytes << 10


def _kibibytes(file: Path, name: str) -> int | None:
    """A number that the kernel reports by name."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), None)


def _left_in_container() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="utf-8").strip()
        used = (_CGROUP / "memory.current").read_text(encoding="utf-8")
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used))
