"""Optional packages: imported where they are used, with the install command in the message."""

from __future__ import annotations

import importlib
from types import ModuleType

from basicsr.utils.errors import UserError


def optional_import(module: str, purpose: str, install: str) -> ModuleType:
    """Import ``module`` or raise a one-line `UserError` that says what it is for and how to install it.

    Args:
        module: dotted module name.
        purpose: what the user asked for, e.g. ``"logger.wandb"``.
        install: what to type, e.g. ``"pip install wandb"``.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{purpose} needs the package '{module}' ({error}). Install it: {install}") from error
