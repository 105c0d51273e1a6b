"""Where a network runs."""

from __future__ import annotations

import torch

from basicsr.utils.errors import UserError


def choose_device(name: str) -> torch.device:
    """The device of a name as PyTorch writes it; ``auto`` is the first GPU, else the CPU.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: PyTorch cannot use '{name}' here; take auto, cpu or cuda") from error
